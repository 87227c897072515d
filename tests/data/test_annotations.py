"""Masks of frames in Detectron2's form: pictures that ``sem_seg_file_name`` names."""

import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from vps_d2.data.annotations import annotate, load_mask_frame, read_class_map
from vps_d2.data.mappers import FrameMapper
from vps_d2.data.taxonomy import NO_CLASS, Taxonomy
from vps_d2.io.errors import UserError

CLASSES = Taxonomy(("cat", "dog"))
MASK = np.array([[0, 1, 1, 0, 255, 2], [0, 0, 0, 0, 0, 2], [1, 0, 0, 0, 0, 0]], np.uint8)


@pytest.fixture
def record(tmp_path: Path) -> dict:
    cv2.imwrite(str(tmp_path / "frame.png"), np.full((3, 6, 3), 90, np.uint8))
    Image.fromarray(MASK).save(tmp_path / "mask.png")
    return {
        "file_name": str(tmp_path / "frame.png"),
        "sem_seg_file_name": str(tmp_path / "mask.png"),
    }


def test_gray_values_and_indices_of_a_palette_are_class_numbers(record: dict, tmp_path: Path):
    assert np.array_equal(read_class_map(record, CLASSES.num_classes), MASK)
    indexed = Image.fromarray(MASK)
    indexed.putpalette(np.arange(768, dtype=np.uint8)[::-1].tobytes())
    indexed.save(tmp_path / "indexed.png")
    mask = load_mask_frame(str(tmp_path / "indexed.png"), np.int64, CLASSES.num_classes)
    assert mask.dtype == np.int64 and np.array_equal(mask, MASK)


def test_pixels_of_no_class_are_no_object(record: dict) -> None:
    found = annotate(record, CLASSES)["annotations"]
    assert [each["category_id"] for each in found] == [0, 0, 1]
    output = FrameMapper(is_train=True, taxonomy=CLASSES, with_sem_seg=True)(record)
    assert output["instances"].gt_classes.tolist() == [0, 0, 1]
    assert torch.equal(output["sem_seg"], torch.from_numpy(MASK.astype(np.int64)))
    assert "instances" not in FrameMapper(is_train=False)(record)


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (None, r"mask\.png: missing mask; add it"),
        (b"", r"mask\.png: unreadable mask"),
        (b"\x89PNG\r\n\x1a\n", r"mask\.png: unreadable mask"),
        (np.zeros((3, 6, 3), np.uint8), r"wrong form \(uint8 \(3, 6, 3\), not uint8 with one"),
        (np.zeros((3, 6), np.uint16), r"wrong form \(.*, not uint8 with one channel\); convert"),
        (
            np.full((3, 6), 3, np.uint8),
            "mask with class number 3, above the highest one, 2; correct it",
        ),
        (
            np.zeros((3, 5), np.uint8),
            r"mask\.png: mask of the wrong shape \(3, 5\), frame \(3, 6\)",
        ),
    ],
)
def test_masks_that_cannot_be_used_are_one_sentence(picture, words, record, tmp_path) -> None:
    path = tmp_path / "mask.png"
    path.unlink()
    if isinstance(picture, bytes):
        path.write_bytes(picture)
    elif picture is not None:
        Image.fromarray(picture).save(path)
    with pytest.raises(UserError, match=words) as error:
        FrameMapper(is_train=True, taxonomy=CLASSES)(record)
    assert "\n" not in str(error.value)


def test_no_class_is_not_a_class() -> None:
    assert Taxonomy.numbered(NO_CLASS).num_classes == NO_CLASS


def test_a_picture_is_looked_at_before_it_is_decoded(tmp_path: Path):
    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    path = tmp_path / "mask.png"
    for (width, height), palette, words in (
        ((10_000, 10_000), bytes(6), "pixels, which is too large; make it smaller"),
        ((4, 4), bytes(3000), "unreadable mask"),
    ):
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0))
        pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
        end = chunk(b"IEND", b"")
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"PLTE", palette) + pixels + end)
        with pytest.raises(UserError, match=words):
            load_mask_frame(str(path))
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(UserError, match="unreadable mask"):
        load_mask_frame(str(path))
