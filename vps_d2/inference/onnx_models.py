"""Instances found by an exported Mask R-CNN in ONNX Runtime, on the CPU."""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch

from vps_d2.d2.structures import Instances
from vps_d2.data.taxonomy import Taxonomy
from vps_d2.inference.export.formats import check_format, open_session
from vps_d2.inference.instance_models import InstanceModel, make_instances
from vps_d2.io.errors import UserError
from vps_d2.io.files import open_regular

__all__ = ["OnnxModel", "load_onnx_model"]

_ARCHITECTURE = "GeneralizedRCNN"


def load_onnx_model(path: str | Path, threshold: float) -> "OnnxModel":
    """Load a file that ``vps-d2 export`` wrote of a Mask R-CNN.

    Args:
        path: of the file.
        threshold: instances with a lower score are left out.

    Raises:
        UserError: if it is another file, or ONNX Runtime is not installed.
    """
    check_format("onnx")
    with open_regular(path) as file:
        content = file.read()
    return OnnxModel(content, threshold=threshold, source=Path(path).name)


class OnnxModel(InstanceModel):
    """A Mask R-CNN that was exported to ONNX.

    Args:
        content: of the file.
        threshold: instances with a lower score are left out.
        source: what the file is called.

    Raises:
        UserError: if it is not an ONNX file, or of another model.
    """

    def __init__(self, content: bytes, *, threshold: float, source: str) -> None:
        wanted = f"give a Mask R-CNN that vps-d2 export has written, not {source}"
        try:
            self._session = open_session(content)
            table = dict(self._session.get_modelmeta().custom_metadata_map)
        except Exception as error:  # ONNX Runtime's errors have no common class but this one
            raise UserError(f"ONNX Runtime cannot read the model; {wanted}.") from error
        if table.get("architecture") != _ARCHITECTURE:
            found = table.get("architecture", "no model of vps_d2")
            raise UserError(f"the model is {found}, which finds no instances; {wanted}.")
        try:
            self.taxonomy = Taxonomy(
                tuple(json.loads(table["classes"])),
                tuple(map(tuple, json.loads(table["colors"]))),
                one_object_per_class=json.loads(table["one_object_per_class"]),
            )
            self.license_note = table["license"]
            self.source = f"{_ARCHITECTURE} in ONNX Runtime from {source} ({table['weights']})"
            self._is_bgr = table["input_format"] == "BGR"
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"the model does not say what its classes are; {wanted}.") from error
        self._threshold = threshold
        settings = f"{threshold}".encode()
        self._fingerprint = hashlib.sha256(content + settings).hexdigest()[:16]

    def __call__(self, frames: np.ndarray) -> list[Instances]:
        """Find the instances in frames uint8 RGB ``(N, H, W, 3)``."""
        return [self._find(frame) for frame in frames]

    def _find(self, frame: np.ndarray) -> Instances:
        picture = frame[..., ::-1] if self._is_bgr else frame
        image = np.ascontiguousarray(picture.transpose(2, 0, 1))
        _, *found = self._session.run(None, {"image": image})
        scores, classes, masks = map(torch.from_numpy, found)
        return make_instances(
            (frame.shape[0], frame.shape[1]), masks >= 0.5, classes, scores, self._threshold
        )

    def fingerprint(self) -> str:
        """Return a hash of the file and the threshold."""
        return self._fingerprint
