"""Predict the mask of a later frame with ONNX Runtime and NumPy alone; PyTorch is not imported.

``vps-d2 export --config-file configs/pipeline/unet_object_dynamics.yaml --output MODELS`` makes the
models. Then: ``python docs/examples/future_mask_onnx.py MODELS VIDEO_FOLDER mask.npy``
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime

from vps_d2.data.tracks import MAX_OBJECTS, join_confused, measure_tracks
from vps_d2.data.video import read_frames


def predict_mask(models: Path, frames: np.ndarray) -> np.ndarray:
    """Return the mask uint8 (H, W) that follows frames uint8 (T, H, W, 3)."""
    segmenter, future, draw = (
        onnxruntime.InferenceSession(models / f"{name}.onnx")
        for name in ("segmenter.masks", "mask_predictor.future", "mask_predictor.draw")
    )
    (masks,) = segmenter.run(None, {"frames": np.moveaxis(frames, -1, 1)})
    found, measured = measure_tracks(join_confused(masks))
    more = MAX_OBJECTS - len(found)
    class_ids = np.pad(found, (0, more)).astype(np.int64)
    measures = np.pad(measured, ((0, more), (0, 0), (0, 0)))
    tracks = {"class_ids": class_ids[None], "measures": measures[None]}
    _, _, depths, objects = (each[0, :, -1] for each in future.run(None, tracks))
    height, width = frames.shape[1:3]
    places = np.mgrid[:height, :width].reshape(2, -1)[::-1].T + 0.5
    points = ((places - [width / 2, height / 2]) / width).astype(np.float32)
    futures = objects.swapaxes(0, 1)  # in each of these, the objects are somewhere else
    drawn = [draw.run(None, {"objects": each, "points": points})[0] > 0 for each in futures]
    mask, free = np.zeros(height * width, np.uint8), 1.0
    best = float(future.get_modelmeta().custom_metadata_map["least_share"])
    for number in np.argsort(depths):  # the nearer object covers the farther
        share = np.mean([inside[number] for inside in drawn], axis=0)
        mask[share * free > best] = class_ids[number]
        best, free = np.maximum(best, share * free), free * (1 - share)
    return mask.reshape(height, width)


if __name__ == "__main__":
    count = 11  # frames that the shipped models take
    np.save(sys.argv[3], predict_mask(Path(sys.argv[1]), read_frames(sys.argv[2], range(count))))
