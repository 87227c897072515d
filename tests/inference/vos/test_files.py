"""What a session exports, and what it imports."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.inference.vos.stub import SIZE, ColorEngine, draw, truth, write_clip
from vps_d2.data import register_frames, register_ytvis_instances
from vps_d2.data.datasets import load_records
from vps_d2.data.mappers import FrameMapper
from vps_d2.data.object_maps import OBJECT_PALETTE, read_object_map
from vps_d2.data.tubes import decode_mask, record_tubes, to_rle
from vps_d2.inference.vos.session import VOSSession
from vps_d2.io.errors import UserError
from vps_d2.io.video import open_video


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", 8)


@pytest.fixture(scope="module")
def session(clip, tmp_path_factory):
    """Frames 3 to 7 are known."""
    with VOSSession(open_video(clip), tmp_path_factory.mktemp("s"), ColorEngine()) as session:
        session.add_mask(3, truth(3))
        session.add_object("ball", 1)
        session.add_object("box", 2)
        list(session.propagate())
        yield session


def test_palette(session, tmp_path):
    session.export(tmp_path / "masks", "palette")
    assert sorted(path.name for path in (tmp_path / "masks").iterdir()) == [
        f"{index:06d}.png" for index in range(3, 8)
    ]
    with Image.open(tmp_path / "masks/000005.png") as image:
        assert image.mode == "P" and (np.array(image) == session.object_map(5)).all()
        assert (
            image.getpalette()[3:9]
            == OBJECT_PALETTE[1:3].ravel().tolist()
            == [*(128, 0, 0), *(0, 128, 0)]
        )


def test_coco(session, tmp_path):
    session.export(tmp_path / "coco.json", "coco")
    content = json.loads((tmp_path / "coco.json").read_text())
    assert [image["frame_index"] for image in content["images"]] == [3, 4, 5, 6, 7]
    assert [each["name"] for each in content["categories"]] == ["ball", "box"]
    entry = next(e for e in content["annotations"] if e["image_id"] == 6 and e["track_id"] == 2)
    mask = session.object_map(5) == 2
    assert (decode_mask(to_rle(entry["segmentation"], *SIZE)) == mask).all()
    assert entry["area"] == mask.sum() and entry["bbox"] == [4, 30, 12, 12]
    assert entry["category_id"] == 2 and entry["iscrowd"] == 0


def test_overlay(session, tmp_path):
    session.export(tmp_path / "overlay.mp4", "overlay")
    frames = [frame.picture for frame in open_video(tmp_path / "overlay.mp4").frames()]
    assert len(frames) == 8
    plain, tinted = (np.abs(frames[k].astype(int) - draw(k)).mean() for k in (1, 5))
    assert tinted > plain + 2


@pytest.mark.parametrize("form", ["palette", "binary", "coco", "ytvis"])
def test_what_is_exported_is_imported(form, session, clip, tmp_path):
    session.export(tmp_path / "exported", form)
    assert not list(tmp_path.glob("exported/.*")) and not list(tmp_path.glob(".*"))
    with VOSSession(open_video(clip), tmp_path / "other") as other:
        assert other.import_masks(tmp_path / "exported") == [1, 2]
        assert other.known_frames == [3, 4, 5, 6, 7]
        for index in other.known_frames:
            assert (other.object_map(index) == session.object_map(index)).all()
        named = form in ("coco", "ytvis")
        assert other.objects == ({1: "ball", 2: "box"} if named else {1: "object", 2: "object"})


def test_a_data_set_to_train_on(session, clip, tmp_path):
    folder = tmp_path / "labeled"
    session.export(folder, "dataset")
    short = write_clip(tmp_path / "short.mp4", 2)
    with VOSSession(open_video(short), tmp_path / "other") as other:
        for index in (0, 1):
            other.add_mask(index, truth(index))
        other.add_object("ant", 1)
        other.export(folder, "dataset")
    session.export(folder, "dataset")  # once more, which replaces it
    layout = json.loads((folder / "dataset.json").read_text())
    assert layout["thing_classes"] == ["ball", "box", "ant"] and layout["one_object_per_class"]

    register_frames("labeled_frames", folder)
    records = load_records("labeled_frames")
    assert [(each["video_id"], each["frame_index"]) for each in records] == [
        *((0, index) for index in range(5)),
        *((1, index) for index in range(2)),
    ]
    sample = FrameMapper(is_train=True)(records[2])
    assert sample["instances"].gt_classes.tolist() == [0, 1]
    assert (sample["instances"].gt_masks.tensor[1].numpy() == (session.object_map(5) == 2)).all()
    assert FrameMapper(is_train=True)(records[-1])["instances"].gt_classes.tolist() == [2]

    register_ytvis_instances("labeled", folder / "ytvis.json", folder)
    first, second = load_records("labeled")
    tubes = record_tubes(first)
    assert [tube["category_id"] for tube in tubes] == [0, 1]
    assert (decode_mask(tubes[1]["segmentations"][2]) == (session.object_map(5) == 2)).all()
    assert second["num_frames"] == 2 and record_tubes(second)[0]["category_id"] == 2
    picture = np.array(Image.open(first["file_names"][2]))
    assert np.abs(picture.astype(int) - draw(5)).mean() < 5


def test_a_data_set_is_not_mixed_with_something_else(session, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="holds something that is no data set"):
        session.export(tmp_path, "dataset")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("form", ["palette", "binary"])
def test_only_an_earlier_export_is_replaced(form, session, tmp_path):
    session.export(tmp_path / "masks", form)
    session.export(tmp_path / "masks", form)
    (tmp_path / "masks/mine.txt").write_text("mine")
    with pytest.raises(UserError, match=r"also holds mine\.txt; choose"):
        session.export(tmp_path / "masks", form)
    assert (tmp_path / "masks/mine.txt").read_text() == "mine"


def test_nothing_to_export(clip, tmp_path):
    with VOSSession(open_video(clip), tmp_path / "s") as session:
        with pytest.raises(UserError, match="nothing is known"):
            session.export(tmp_path / "masks", "palette")
        session.add_mask(0, truth(0))
        with pytest.raises(UserError, match="there is no form gif; choose one of palette"):
            session.export(tmp_path / "masks", "gif")
    assert not (tmp_path / "masks").exists()


def test_a_video_of_pictures_keeps_their_names(tmp_path):
    (tmp_path / "frames").mkdir()
    for index in range(2):
        Image.fromarray(draw(index)).save(tmp_path / f"frames/shot_{index + 7}.png")
    with VOSSession(open_video(tmp_path / "frames"), tmp_path / "s") as session:
        session.add_mask(1, truth(1))
        session.export(tmp_path / "coco.json", "coco")
        content = json.loads((tmp_path / "coco.json").read_text())
        assert [image["file_name"] for image in content["images"]] == ["shot_8.png"]
        del content["images"][0]["frame_index"]
        (tmp_path / "coco.json").write_text(json.dumps(content))
        session.undo()
        session.import_masks(tmp_path / "coco.json")
        assert session.given == {1: [1]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["annotations"][0].update(segmentation=[[1]]), "has a polygon that is not"),
        (lambda c: c.update(images=[]), "is not in the form of COCO"),
        (lambda c: [each.pop("track_id") for each in c["annotations"]], "give each annotation a"),
        (lambda c: c["images"][0].update(frame_index=99), "the video ends before"),
        (
            lambda c: [i.update(height=9) for i in c["images"]],
            "masks of 64 x 9 pixels",
        ),
        (lambda c: c.pop("images"), "has neither images, as COCO has, nor videos"),
    ],
)
def test_damaged_files_are_a_sentence(change, message, session, clip, tmp_path):
    session.export(tmp_path / "coco.json", "coco")
    content = json.loads((tmp_path / "coco.json").read_text())
    change(content)
    (tmp_path / "coco.json").write_text(json.dumps(content))
    with VOSSession(open_video(clip), tmp_path / "s") as other:
        with pytest.raises(UserError, match=message):
            other.import_masks(tmp_path / "coco.json")
        assert not other.given and not list((tmp_path / "s").rglob("*.png"))


def save(path, values, mode=None):
    image = Image.fromarray(np.asarray(values))
    (image.convert(mode) if mode else image).save(path)
    return path


def test_kinds_of_masks(tmp_path):
    numbers = np.array([[0, 1], [2, 1]], np.uint8)
    path = tmp_path / "mask.png"
    for values in (numbers, numbers.astype(np.uint16), OBJECT_PALETTE[numbers]):
        assert read_object_map(save(path, values)).tolist() == numbers.tolist()
    binary = (numbers > 0).astype(np.uint8)
    for values in (binary * 255, binary.astype(np.uint16) * 65535, binary.astype(bool)):
        assert read_object_map(save(path, values)).tolist() == binary.tolist()
    gray = np.repeat(binary[..., None] * np.uint8(255), 3, 2)
    assert read_object_map(save(path, gray, "RGBA")).tolist() == binary.tolist()
    image = Image.fromarray(binary * 255)
    image.putpalette(OBJECT_PALETTE.tobytes())
    image.save(path)
    assert read_object_map(path).tolist() == (binary * 255).tolist()  # a palette has numbers


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([[0, 300]], np.uint16), "has values up to 300, but .* end at 255"),
        (np.array([[[1, 2, 3], [9, 9, 1]]], np.uint8), "is a picture in color, but not in those"),
        (np.arange(256, dtype=np.uint8)[None], "has 255 values, as a photograph has"),
    ],
)
def test_pictures_that_are_no_masks(values, message, tmp_path):
    with pytest.raises(UserError, match=message):
        read_object_map(save(tmp_path / "mask.png", values))


def test_files_that_are_no_masks(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "mask.jpg")
    with pytest.raises(UserError, match="mask in a JPEG, which changes the numbers"):
        read_object_map(tmp_path / "mask.jpg")
    (tmp_path / "mask.png").write_bytes(b"\x89PNG")
    with pytest.raises(UserError, match=r"mask\.png: unreadable mask"):
        read_object_map(tmp_path / "mask.png")
    with pytest.raises(UserError, match=r"none\.png: missing mask"):
        read_object_map(tmp_path / "none.png")
