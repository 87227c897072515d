"""Data sets for video object segmentation on disk, and their faults."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import vps_d2.data
from vps_d2.d2.data import DatasetCatalog, MetadataCatalog
from vps_d2.data.datasets import load_records
from vps_d2.data.video import FaultError
from vps_d2.data.vos.library import load_cutout, load_picture, open_library
from vps_d2.data.vos.maps import read_dataset_map, read_saliency, write_object_map
from vps_d2.io.errors import UserError

SIZE = (30, 40)


@pytest.fixture
def register():
    """Registers data sets for the time of a test."""
    names = []

    def add(function, *arguments, **options):
        name = f"vos_test_{len(names)}"
        names.append(name)
        getattr(vps_d2.data, function)(name, *arguments, **options)
        return name

    yield add
    for name in names:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


def write_frames(folder: Path, count: int, suffix: str = ".jpg") -> None:
    folder.mkdir(parents=True)
    for index in range(count):
        cv2.imwrite(str(folder / f"{index:05d}{suffix}"), np.full((*SIZE, 3), index, np.uint8))


def write_maps(folder: Path, indices) -> None:
    folder.mkdir(parents=True)
    for index in indices:
        write_object_map(folder / f"{index:05d}.png", np.full(SIZE, index % 3, np.uint8))


def write_davis(root: Path, resolution: str = "480p") -> Path:
    for name in ("bear", "dog"):
        write_frames(root / "JPEGImages" / resolution / name, 4)
        write_maps(root / "Annotations" / resolution / name, range(4))
    (root / "ImageSets" / "2017").mkdir(parents=True)
    (root / "ImageSets" / "2017" / "train.txt").write_text("dog\nbear\n")
    return root


@pytest.mark.parametrize("resolution", ["480p", ""])
def test_davis_is_read_in_the_order_of_its_list(tmp_path, register, resolution):
    records = load_records(register("register_davis", write_davis(tmp_path, resolution)))
    assert [record["video_name"] for record in records] == ["dog", "bear"]
    assert records[0]["num_frames"] == 4
    assert Path(records[0]["file_names"][3]).name == "00003.jpg"
    assert Path(records[0]["object_map_file_names"][3]).name == "00003.png"
    assert records[0]["frame_step"] == 1


def test_a_list_of_davis_2016_names_frames(tmp_path, register):
    root = write_davis(tmp_path)
    lines = [
        f"/JPEGImages/480p/bear/{index:05d}.jpg /Annotations/480p/bear/{index:05d}.png"
        for index in range(4)
    ]
    (root / "ImageSets" / "val.txt").write_text("\n".join(lines) + "\n")
    records = load_records(register("register_davis", root, "val.txt"))
    assert [record["video_name"] for record in records] == ["bear"]


def test_frames_of_youtube_vos_without_a_map_have_none(tmp_path, register):
    write_frames(tmp_path / "JPEGImages" / "a", 11)
    write_maps(tmp_path / "Annotations" / "a", (0, 5, 10))
    (record,) = load_records(register("register_youtube_vos", tmp_path))
    given = [index for index, path in enumerate(record["object_map_file_names"]) if path]
    assert given == [0, 5, 10]
    assert record["frame_step"] == 5
    (record,) = load_records(register("register_bl30k", tmp_path))
    assert record["frame_step"] == 1


def test_stills_have_their_masks_beside_them_or_elsewhere(tmp_path, register):
    (tmp_path / "fss" / "cat").mkdir(parents=True)
    picture = tmp_path / "fss" / "cat" / "1.jpg"
    cv2.imwrite(str(picture), np.zeros((*SIZE, 3), np.uint8))
    name = register("register_vos_stills", tmp_path / "fss")
    with pytest.raises(FaultError, match=r"1\.png: missing mask of .*1\.jpg; add it"):
        load_records(name)
    cv2.imwrite(str(picture.with_suffix(".png")), np.zeros(SIZE, np.uint8))
    (record,) = load_records(name)
    assert record["object_map_file_name"] == str(picture.with_suffix(".png"))
    masks = tmp_path / "masks" / "cat"
    write_maps(masks, (1,))
    (masks / "00001.png").rename(masks / "1.png")
    picture.with_suffix(".png").unlink()
    (record,) = load_records(register("register_vos_stills", tmp_path / "fss", tmp_path / "masks"))
    assert record["object_map_file_name"] == str(masks / "1.png")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda root: (root / "ImageSets/2017/train.txt").unlink(), "unreadable list of videos"),
        (lambda root: (root / "ImageSets/2017/train.txt").write_text("\n"), "no video in it"),
        (lambda root: (root / "ImageSets/2017/train.txt").write_text("cow"), "cow: not a folder"),
        (lambda root: [p.unlink() for p in root.glob("JPEGImages/480p/dog/*")], "no frame in it"),
        (lambda root: [p.unlink() for p in root.glob("Annotations/480p/dog/*")], "no map of a"),
    ],
)
def test_a_fault_of_davis_is_one_sentence(tmp_path, register, spoil, words):
    spoil(write_davis(tmp_path))
    with pytest.raises(FaultError, match=words) as caught:
        load_records(register("register_davis", tmp_path))
    assert "\n" not in str(caught.value)


def test_an_empty_or_missing_folder_is_a_fault(tmp_path, register):
    with pytest.raises(FaultError, match="not a folder"):
        load_records(register("register_vos_cutouts", tmp_path / "none", None))
    with pytest.raises(FaultError, match="no PNG cut-out in it"):
        load_records(register("register_vos_cutouts", None, tmp_path))
    with pytest.raises(FaultError, match="not a folder that can be read"):
        load_records(register("register_bl30k", tmp_path))
    (tmp_path / "JPEGImages").mkdir()
    with pytest.raises(FaultError, match="no folder of a video in it"):
        load_records(register("register_bl30k", tmp_path))


def test_procedural_clips_are_built_in_and_counted(register):
    assert len(load_records("vos_procedural")) == 1000
    records = load_records(register("register_vos_procedural", 7))
    assert len(records) == 7
    assert records[6]["clip_source"] == (None, None)


def test_an_object_map_is_written_and_read_as_a_palette_picture(tmp_path):
    object_map = np.arange(12, dtype=np.uint8).reshape(3, 4)
    object_map[2, 3] = 255
    write_object_map(tmp_path / "map.png", object_map)
    with Image.open(tmp_path / "map.png") as picture:
        assert picture.mode == "P"
        # The first colors of DAVIS.
        assert picture.getpalette()[:12] == [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]
    expected = np.where(object_map == 255, 0, object_map)
    assert np.array_equal(read_dataset_map(tmp_path / "map.png"), expected)
    assert np.array_equal(read_saliency(tmp_path / "map.png"), expected)


def test_black_and_white_is_one_object_and_gray_is_numbers(tmp_path):
    path = tmp_path / "mask.png"
    cv2.imwrite(str(path), np.array([[0, 255], [255, 0]], np.uint8))
    assert read_dataset_map(path).tolist() == [[0, 1], [1, 0]]
    cv2.imwrite(str(path), np.array([[0, 2], [200, 255]], np.uint8))
    assert read_dataset_map(path).tolist() == [[0, 2], [200, 0]]
    assert read_saliency(path).tolist() == [[0, 0], [1, 1]]
    Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8)).convert("1").save(path)
    assert read_dataset_map(path).tolist() == [[0, 1], [1, 0]]


def test_a_faulty_object_map_is_one_sentence(tmp_path):
    path = tmp_path / "mask.png"
    with pytest.raises(FaultError, match="missing mask"):
        read_dataset_map(path)
    path.write_bytes(b"no picture")
    with pytest.raises(FaultError, match="unreadable mask"):
        read_dataset_map(path)
    cv2.imwrite(str(path), np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(FaultError, match="mask of the kind RGB"):
        read_dataset_map(path)
    cv2.imwrite(str(path), np.zeros((2, 2), np.uint16))
    with pytest.raises(FaultError, match="mask of the kind I"):
        read_dataset_map(path)
    cv2.imwrite(str(path), np.zeros((2, 3), np.uint8))
    with pytest.raises(FaultError, match="mask of 3x2 pixels, frame 5x4"):
        read_dataset_map(path, (4, 5))


def test_cutouts_lose_their_margins_and_are_made_smaller(tmp_path):
    path = tmp_path / "cut.png"
    pixels = np.zeros((100, 200, 4), np.uint8)
    pixels[20:80, 50:170] = (1, 2, 250, 255)
    cv2.imwrite(str(path), pixels)
    cutout = load_cutout(str(path), 60)
    assert cutout.shape == (30, 60, 4)
    assert cutout[15, 30].tolist() == [250, 2, 1, 255]
    assert open_library(None, str(tmp_path)).cutouts == (str(path),)


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.zeros((50, 50, 3), np.uint8), "cut-out without transparency"),
        (np.zeros((50, 50, 4), np.uint8), "object of 0x0 pixels, which is too small"),
        (None, "unreadable PNG"),
    ],
)
def test_a_faulty_cutout_is_one_sentence(tmp_path, pixels, words):
    path = tmp_path / "cut.png"
    if pixels is None:
        path.write_bytes(b"no picture")
    else:
        cv2.imwrite(str(path), pixels)
    with pytest.raises(UserError, match=words):
        load_cutout(str(path), 60)


def test_pictures_are_kept_in_memory_up_to_a_limit(tmp_path, monkeypatch):
    from vps_d2.data.vos import library

    monkeypatch.setattr(library, "_store", library._Store(5000))
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((40, 20, 3), number, np.uint8))
    first = load_picture(str(tmp_path / "0.png"), 20)
    assert first.shape == (40, 20, 3)
    assert load_picture(str(tmp_path / "0.png"), 20) is first
    for number in (1, 2):
        load_picture(str(tmp_path / f"{number}.png"), 20)
    assert load_picture(str(tmp_path / "0.png"), 20) is not first
    assert load_picture(str(tmp_path / "0.png"), 10).shape == (20, 10, 3)
