"""Data sets in the form of YouTube-VIS, and videos of which a class is an object."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_utils

import vps_d2
from tests.conftest import make_video
from vps_d2.config.defaults import get_vps_cfg
from vps_d2.d2.data import DatasetCatalog, MetadataCatalog
from vps_d2.data.clip_mapper import ClipInstanceMapper
from vps_d2.data.datasets import load_records, register_video_instances
from vps_d2.data.layout import VideoLayout
from vps_d2.data.metadata import config_taxonomy, dataset_taxonomy
from vps_d2.data.taxonomy import Taxonomy
from vps_d2.data.tubes import decode_frames, decode_mask, encode_mask, record_tubes, to_rle
from vps_d2.data.ytvis import register_ytvis_instances
from vps_d2.io.errors import UserError

SIZE = (12, 16)
SQUARE = np.zeros(SIZE, bool)
SQUARE[2:6, 3:9] = True


def runs(mask: np.ndarray) -> dict[str, Any]:
    """Return a mask as an uncompressed RLE."""
    pixels = np.concatenate([[0], mask.T.ravel().astype(int), [2]])
    ends = np.flatnonzero(np.diff(pixels))
    counts = np.diff(np.concatenate([[0], ends])).tolist()
    return {"size": list(mask.shape), "counts": counts}


def text(mask: np.ndarray) -> dict[str, Any]:
    encoded = encode_mask(mask)
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


def content() -> dict[str, Any]:
    polygon = [[3.0, 2.0, 9.0, 2.0, 9.0, 6.0, 3.0, 6.0]]
    return {
        "categories": [{"id": 7, "name": "seal"}, {"id": 3, "name": "ape"}],
        "videos": [
            {
                "id": 40,
                "file_names": [f"a0/{index:05d}.jpg" for index in range(4)],
                "length": 4,
                "height": SIZE[0],
                "width": SIZE[1],
            },
            {"id": 2, "file_names": ["b1/00000.jpg"], "height": 20, "width": 30},
        ],
        "annotations": [
            {
                "id": 11,
                "video_id": 40,
                "category_id": 7,
                "iscrowd": 0,
                "segmentations": [runs(SQUARE), None, text(SQUARE), polygon],
                "areas": [24, None, 24, 24],
                "bboxes": [[3, 2, 6, 4], None, [3, 2, 6, 4], [3, 2, 6, 4]],
            },
            {
                "id": 5,
                "video_id": 40,
                "category_id": 3,
                "iscrowd": 1,
                "segmentations": [None, None, None, text(~SQUARE)],
            },
        ],
    }


@pytest.fixture
def register(tmp_path: Path):
    """Return a function from a file's content to the name of a data set of it."""
    names = []

    def write(what: Any) -> str:
        name = f"ytvis_tests_{len(names)}"
        names.append(name)
        path = tmp_path / f"{name}.json"
        path.write_text(what if isinstance(what, str) else json.dumps(what))
        register_ytvis_instances(name, path, tmp_path / "frames")
        return name

    yield write
    for name in names:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


def test_records_have_frames_and_tubes(register, tmp_path: Path) -> None:
    first, second = load_records(register(content()))
    assert first["file_names"][3] == str(tmp_path / "frames" / "a0" / "00003.jpg")
    assert (first["video_id"], first["video_name"], first["num_frames"]) == (40, "a0", 4)
    assert (first["height"], first["width"]) == SIZE and second["annotations"] == []
    seal, ape = record_tubes(first)
    assert (seal["id"], seal["category_id"], seal["iscrowd"]) == (11, 1, 0)
    assert (ape["id"], ape["category_id"], ape["iscrowd"]) == (5, 0, 1)
    masks = decode_frames(seal, [0, 1, 2, 3], SIZE)
    assert (masks[[0, 2, 3]] == SQUARE).all() and not masks[1].any()
    assert seal["areas"] == [24, None, 24, 24]
    assert ape["areas"] == [None, None, None, 192 - 24]  # counted, as the file has none


def test_the_taxonomy_is_read_when_it_is_asked_for(register) -> None:
    cfg = get_vps_cfg()
    cfg.DATASETS.TRAIN = (register(content()),)
    assert config_taxonomy(cfg).thing_classes == ("ape", "seal")
    metadata = MetadataCatalog.get(cfg.DATASETS.TRAIN[0])
    assert metadata.thing_dataset_id_to_contiguous_id == {3: 0, 7: 1}
    assert metadata.evaluator_type == "ytvis" and metadata.json_file.endswith(".json")
    missing = "ytvis_tests_missing"
    register_ytvis_instances(missing, "nowhere.json", ".")
    for ask in (dataset_taxonomy, load_records):
        with pytest.raises(UserError, match=r"nowhere.json cannot be read \(No such file"):
            ask(missing)
    DatasetCatalog.remove(missing)


@pytest.mark.parametrize("annotations", ["absent", None])
def test_files_to_be_submitted_have_no_annotations(register, annotations) -> None:
    what = content() | {"annotations": None}
    if annotations == "absent":
        del what["annotations"]
    record = load_records(register(what))[0]
    assert "annotations" not in record
    with pytest.raises(UserError, match="video a0 has no annotations"):
        record_tubes(record)


def change(path: str, value: Any) -> dict[str, Any]:
    """Return the content with one value changed, at a path such as "videos/0/length"."""
    changed = copy.deepcopy(content())
    *above, last = path.split("/")
    entry: Any = changed
    for key in above:
        entry = entry[int(key) if key.isdigit() else key]
    entry[int(last) if last.isdigit() else last] = value
    return changed


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("videos", {}, "it has no list of videos"),
        ("videos", [], "it has no video"),
        ("categories", [], "it has no categories"),
        ("categories/0/id", 3, "two with the same id"),
        ("categories/0/name", None, "category 7 has no text as name"),
        ("annotations", [3], "it has no list of annotations"),
        ("videos/0/length", 5, "video 40 has 4 file_names, but length 5"),
        ("videos/0/file_names", [], "video 40 has no list of file_names"),
        ("videos/0/height", "12", "video 40 has no whole number as height"),
        ("videos/0/width", 0, "video 40 is of size 0x12"),
        ("videos/1/id", 40, "two videos have the id 40"),
        ("annotations/0/id", 5, "two annotations have the id 5"),
        ("annotations/0/video_id", 9, "annotation 11 is of video 9"),
        ("annotations/0/category_id", 1, "annotation 11 is of category 1"),
        ("annotations/0/segmentations", [None], "segmentations of annotation 11 are not one for"),
        ("annotations/0/areas", [1], "areas of annotation 11 are not one for each of the 4 frames"),
        ("annotations/0/areas", ["1"] * 4, "annotation 11 has areas that are not numbers"),
        (
            "annotations/0/segmentations/2",
            text(SQUARE.T),
            r"annotation 11 has an RLE of size \[16, 12\] .* in frame 3",
        ),
        ("annotations/0/segmentations/2/counts", [4, 5], "an RLE of 9 pixels in a video of 192"),
        ("annotations/0/segmentations/2/counts", [200, -8], "an RLE of 192 pixels"),
        ("annotations/0/segmentations/2/counts", [1.5], "counts are not whole numbers"),
        ("annotations/0/segmentations/2/counts", "054", "an RLE of 9 pixels in a video of 192"),
        ("annotations/0/segmentations/2/counts", "", "counts are not those of COCO"),
        ("annotations/0/segmentations/2/counts", "0o", "counts are cut off"),
        ("annotations/0/segmentations/2/counts", "o" * 9 + "0", "a run that is too long"),
        ("annotations/0/segmentations/2/counts", None, "neither text nor numbers"),
        ("annotations/0/segmentations/1", 5, "neither an RLE, nor polygons, nor null"),
        ("annotations/0/segmentations/3", [[1, 2, 3, 4]], "list of three or more points"),
        ("annotations/0/segmentations/3", [[1, 2, 3, 4, 5, 1e30]], "far outside any frame"),
    ],
)
def test_faults_are_one_sentence(register, path: str, value: Any, reason: str) -> None:
    name = register(change(path, value))
    with pytest.raises(UserError, match=rf"{name}.json is not in the form .*{reason}") as error:
        load_records(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("what", "reason"), [("{", "is not a JSON file"), ("[]", "no object")])
def test_other_files_are_one_sentence(register, what: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        load_records(register(what))


def test_any_sound_mask_of_pycocotools_is_accepted() -> None:
    rng = np.random.default_rng(0)
    for share in (0, 0.01, 0.3, 0.5, 0.99, 1):
        for shape in ((1, 1), (7, 300), (400, 500)):
            mask = rng.random(shape) < share
            for form in (text(mask), runs(mask), encode_mask(mask)):
                rle = to_rle(form, *shape)
                assert rle is not None and (decode_mask(rle) == mask).all()
                assert mask_utils.area(rle) == mask.sum()
    assert to_rle(None, 3, 3) is to_rle([], 3, 3) is None


def test_a_clip_is_read_from_the_files(register, tmp_path: Path) -> None:
    (tmp_path / "frames" / "a0").mkdir(parents=True)
    for index in range(4):
        picture = np.full((*SIZE, 3), 50 * index, np.uint8)
        Image.fromarray(picture).save(tmp_path / "frames" / "a0" / f"{index:05d}.jpg")
    record = load_records(register(content()))[0]
    sample = ClipInstanceMapper(is_train=True, num_frames=4)(record)
    assert [round(float(image.float().mean()), -1) for image in sample["images"]] == [
        0,
        50,
        100,
        150,
    ]
    for index, instances in enumerate(sample["instances"]):  # the crowd is left out
        assert instances.gt_ids.tolist() == [11] and instances.gt_classes.tolist() == [1]
        assert (instances.gt_masks.tensor[0].numpy() == (SQUARE & (index != 1))).all()


def test_a_class_of_a_labeled_video_is_an_object(tiny_videos: Path) -> None:
    name = "vis_tests_val"
    register_video_instances(name, tiny_videos / "val")
    record = load_records(name)[1]
    assert record["video_id"] == 3 and len(record["file_names"]) == record["num_frames"] == 22
    assert MetadataCatalog.get(name).evaluator_type == "ytvis"
    masks = make_video(3)[1]
    tubes = record_tubes(record)
    assert [tube["id"] for tube in tubes] == sorted(set(masks.ravel()) - {0})
    for tube in tubes:
        truth = masks == tube["category_id"] + 1
        assert (decode_frames(tube, range(22), (32, 48)) == truth).all()
        assert tube["areas"] == [area or None for area in truth.sum((1, 2))]


def test_masks_that_do_not_tell_objects_apart_are_no_instances(tiny_videos: Path) -> None:
    layout = VideoLayout(Taxonomy.numbered(49), 22, 11)
    with pytest.raises(UserError, match="not told apart by the masks"):
        register_video_instances("vis_tests_alike", tiny_videos / "val", layout=layout)


def test_the_data_sets_are_there_by_name() -> None:
    assert {"vps_vis_train", "vps_vis_val"} <= set(DatasetCatalog.list())
    assert dataset_taxonomy("vps_vis_val").num_classes == 49
    assert vps_d2.register_ytvis_instances is register_ytvis_instances
    assert vps_d2.register_video_instances is register_video_instances
