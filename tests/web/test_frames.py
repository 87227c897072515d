"""Frames in memory, and the thread that makes them before they are wanted."""

import io
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.inference.vos.stub import draw
from tests.web.stub import wait_until
from vps_d2.io.errors import UserError
from vps_d2.io.video import open_video
from vps_d2.web.frames import ByteCache, CachedSource, FrameStore, scale_to_rows


def test_a_cache_drops_what_was_used_longest_ago() -> None:
    cache: ByteCache[str] = ByteCache(10)
    cache.put(1, "a", 4)
    cache.put(2, "b", 4)
    assert cache.get(1) == "a"
    cache.put(3, "c", 4)
    assert (cache.get(1), cache.get(2), cache.get(3)) == ("a", None, "c")
    assert cache.num_bytes == 8
    cache.put(3, "d", 6)
    assert cache.num_bytes == 10 and cache.get(3) == "d"
    cache.put(4, "e", 99)  # the frame that the user looks at is kept, however large it is
    assert cache.get(4) == "e" and cache.num_bytes == 99


def test_a_frame_is_decoded_once(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_video(clip)
    cached = CachedSource(source)
    frame = cached.read(3)
    monkeypatch.setattr(source, "read", lambda _: pytest.fail("it was read again"))
    assert cached.read(3) is frame
    assert [each.index for each in cached.frames(2, 5)] == [2, 3, 4]
    assert (cached.num_frames, cached.name, cached.rate, cached.losses) == (11, "clip", 10, "")


def decode(data: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(data)))


def test_frames_ahead_are_made_in_either_direction(clip: Path) -> None:
    store = FrameStore(CachedSource(open_video(clip)), ahead=3)

    def kept() -> list[int]:
        return [index for index in range(11) if store.is_kept(index, 48)]

    try:
        wait_until(lambda: kept() == [0, 1, 2, 3])  # before anybody asks
        picture = decode(store.jpeg(7))
        assert np.abs(picture.astype(int) - draw(7)).mean() < 12
        wait_until(lambda: kept() == [0, 1, 2, 3, 7, 8, 9, 10])
        store.jpeg(6)
        wait_until(lambda: kept() == list(range(11)))
        assert store.source.is_kept(6)  # to click on
        data = store.jpeg(3, rows=24)
        assert decode(data).shape == (24, 32, 3) and store.jpeg(3, rows=24) is data
        assert decode(store.jpeg(3, rows=4000)).shape == (48, 64, 3)
        with pytest.raises(UserError, match="frame index 11 is not in"):
            store.jpeg(11)
    finally:
        store.close()


def test_nothing_is_read_ahead_while_the_user_waits(clip: Path) -> None:
    store = FrameStore(CachedSource(open_video(clip)), ahead=3)
    try:
        wait_until(lambda: store.is_kept(3, 48))
        with store.paused():
            store.jpeg(5)
            time.sleep(0.05)
            assert not store.is_kept(6, 48)
        wait_until(lambda: store.is_kept(8, 48))
    finally:
        store.close()


def test_memory_has_a_bound(clip: Path) -> None:
    store = FrameStore(CachedSource(open_video(clip), max_bytes=20_000), max_bytes=3000)
    try:
        for index in (*range(11), *reversed(range(11))):
            store.jpeg(index)
        assert store._jpegs.num_bytes <= 3000 and store.source._cache.num_bytes <= 20_000
    finally:
        store.close()


def test_a_picture_keeps_its_shape() -> None:
    picture = np.zeros((100, 33, 3), np.uint8)
    assert scale_to_rows(picture, 50, cv2.INTER_AREA).shape == (50, 16, 3)
    assert scale_to_rows(picture, 100, cv2.INTER_AREA) is picture
