"""Videos of two objects in the layout of DAVIS, one of which moves."""

import cv2
import numpy as np

from vps_d2.data.vos.maps import write_object_map

SIZE = (48, 64)
FRAMES = 10


def true_map(index):
    """Return the map of a frame: object 2 moves to the right, object 5 stays where it is."""
    object_map = np.zeros(SIZE, np.uint8)
    object_map[4:20, 2 + 4 * index : 18 + 4 * index] = 2
    object_map[24:44, 40:60] = 5
    return object_map


def write_videos(root, names):
    """Write videos whose frames are gray, each brighter than the one before."""
    for name in names:
        frames, maps = (root / part / name for part in ("JPEGImages", "Annotations"))
        frames.mkdir(parents=True)
        for index in range(FRAMES):
            picture = np.full((*SIZE, 3), 20 * index, np.uint8)
            cv2.imwrite(str(frames / f"{index:05d}.png"), picture)
            write_object_map(maps / f"{index:05d}.png", true_map(index))
    lists = root / "ImageSets" / "2017"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("".join(f"{name}\n" for name in names))
