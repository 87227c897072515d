"""Data sets in the catalog, and their annotations."""

import json
import logging

import numpy as np
import pytest
from pycocotools.coco import COCO

from tests.conftest import make_video, write_tiny_videos
from vps_d2.d2.data import DatasetCatalog, MetadataCatalog
from vps_d2.data import annotations, datasets, register_videos, video
from vps_d2.data.vps import TAXONOMY
from vps_d2.io.errors import UserError


def test_video_records(tiny_videos, tiny_names):
    records = DatasetCatalog.get(tiny_names["train"])
    folder = tiny_videos / "train" / "video_00001"
    assert records[1] == {
        "video_id": 1,
        "video_name": "video_00001",
        "folder": str(folder),
        "height": 32,
        "width": 48,
        "num_frames": 22,
        "mask_file_name": str(folder / "mask.npy"),
    }
    hidden = DatasetCatalog.get(tiny_names["hidden"])
    assert [record["num_frames"] for record in hidden] == [11, 11]
    assert "mask_file_name" not in hidden[0]


def test_frame_records(tiny_videos, tiny_names):
    records = DatasetCatalog.get(tiny_names["frames"])
    assert len(records) == 44
    path = tiny_videos / "train" / "video_00001" / "mask.npy"
    assert records[25]["image_id"] == 25 and records[25]["frame_index"] == 3
    assert records[25]["sem_seg_file_name"] == f"{path}#3"
    assert records[25]["file_name"].endswith("video_00001/image_3.png")


def test_builtin_data_sets_follow_the_environment(tiny_videos, tmp_path, monkeypatch):
    (tmp_path / "vps").mkdir()
    for split in ("train", "val", "unlabeled", "hidden"):
        (tmp_path / "vps" / split).symlink_to(tiny_videos / split)
    (tmp_path / "vps" / "labeled").symlink_to(tiny_videos / "train")  # as label_unlabeled.py makes
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    lengths = {"train": 2, "val": 2, "unlabeled": 2, "hidden": 2, "frames_train": 44}
    lengths |= {"labeled": 2, "frames_labeled": 44}
    for name, length in lengths.items():
        assert len(DatasetCatalog.get(f"vps_{name}")) == length
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "absent"))
    with pytest.raises(UserError, match=r"vps_train has 1 fault: .*absent/vps/train: not a folder"):
        DatasetCatalog.get("vps_train")


def test_metadata():
    metadata = MetadataCatalog.get("vps_frames_val")
    assert len(metadata.thing_classes) == len(metadata.thing_colors) == 48
    assert len(metadata.stuff_classes) == len(metadata.stuff_colors) == 49
    assert metadata.stuff_classes[1:] == metadata.thing_classes
    assert metadata.evaluator_type == "vps" and metadata.one_object_per_class


def test_faulty_data_stops_or_is_left_out(tmp_path, caplog):
    root = write_tiny_videos(tmp_path / "vps")
    register_videos("tiny_faulty", root / "train")
    video.frame_path(root / "train" / "video_00000", 5).unlink()
    with pytest.raises(UserError, match=r"tiny_faulty has 1 fault: .*image_5\.png: missing frame"):
        DatasetCatalog.get("tiny_faulty")
    with caplog.at_level(logging.WARNING):
        records = datasets.load_records("tiny_faulty", skip_faulty=True)
    assert [record["video_id"] for record in records] == [1]
    assert "image_5.png: missing frame" in caplog.text
    video.frame_path(root / "train" / "video_00001", 5).unlink()
    with pytest.raises(UserError, match="2 faults"):
        datasets.load_records("tiny_faulty", skip_faulty=True)
    DatasetCatalog.remove("tiny_faulty")


def test_generated_frames(tmp_path):
    frames, masks = make_video(1)
    for index in (21, 11):
        stem = f"video_00001_frame_{index}"
        video.encode_frame(frames[index]).tofile(tmp_path / f"{stem}.png")
        np.save(tmp_path / f"mask_{stem}.npy", masks[index])
    datasets.register_generated_frames("tiny_generated", tmp_path)
    records = DatasetCatalog.get("tiny_generated")
    assert [record["frame_index"] for record in records] == [11, 21]
    assert records[0]["mask_index"] is None and records[0]["image_id"] == 0
    assert len(annotations.annotate(records[0], TAXONOMY)["annotations"]) == 2
    (tmp_path / "mask_video_00001_frame_11.npy").unlink()
    np.save(tmp_path / "mask_video_00001_frame_21.npy", masks)
    with pytest.raises(UserError, match=r"2 faults: .*missing mask; .*wrong shape"):
        DatasetCatalog.get("tiny_generated")
    DatasetCatalog.remove("tiny_generated")


def test_split_mask():
    mask = np.zeros((6, 8), np.uint8)
    mask[1:3, 2:7] = 5
    mask[5, 7] = 48
    classes, bits, boxes = annotations.split_mask(mask)
    assert classes.tolist() == [5, 48]
    assert boxes.tolist() == [[2, 1, 7, 3], [7, 5, 8, 6]]
    assert np.array_equal(bits[0], mask == 5) and bits.dtype == bool
    mask[5, 0] = 48
    assert annotations.split_mask(mask)[0].tolist() == [5, 48]
    classes, bits, boxes = annotations.split_mask(mask, one_object_per_class=False)
    assert classes.tolist() == [5, 48, 48] and bits.sum((1, 2)).tolist() == [10, 1, 1]
    assert boxes[1:].tolist() in ([[0, 5, 1, 6], [7, 5, 8, 6]], [[7, 5, 8, 6], [0, 5, 1, 6]])
    classes, bits, boxes = annotations.split_mask(np.zeros((6, 8), np.uint8), False)
    assert len(classes) == 0 and bits.shape == (0, 6, 8) and boxes.shape == (0, 4)


def test_load_mask_frame(tiny_names):
    record = DatasetCatalog.get(tiny_names["frames"])[30]
    mask = annotations.load_mask_frame(record["sem_seg_file_name"], int)
    assert mask.dtype == int and np.array_equal(mask, make_video(1)[1][8])


def test_coco_json(tiny_names, tmp_path, capsys):
    path = annotations.coco_json(tiny_names["frames"], tmp_path / "frames.json")
    content = json.loads(path.read_text())
    assert len(content["images"]) == 44 and len(content["categories"]) == 48
    assert len(content["annotations"]) == 22 * 3
    coco = COCO(str(path))
    masks = make_video(1)[1]
    for annotation in coco.imgToAnns[22 + 4]:
        truth = masks[4] == annotation["category_id"] + 1
        assert np.array_equal(coco.annToMask(annotation), truth)
        assert annotation["area"] == truth.sum()
        assert annotation["bbox"][2] * annotation["bbox"][3] == truth.sum()


def test_real_videos_are_found_where_a_variable_says(tiny_videos, tmp_path, monkeypatch):
    monkeypatch.setenv("VPS_D2_REAL_VIDEOS", str(tiny_videos))
    assert [each["video_id"] for each in datasets.load_records("vps_real_train")] == [0, 1]
    assert len(datasets.load_records("vps_frames_real_train")) == 44
    monkeypatch.delenv("VPS_D2_REAL_VIDEOS")
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    with pytest.raises(UserError, match=r"real.train: not a folder"):
        datasets.load_records("vps_real_train")
