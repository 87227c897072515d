"""Tiny models instead of trained ones, and a pipeline configuration that names them."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from vps_d2.d2.config import CfgNode
from vps_d2.d2.modeling import META_ARCH_REGISTRY


class _Stub(nn.Module):
    def __init__(self, cfg: CfgNode) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))


@META_ARCH_REGISTRY.register()
class StubPredictor(_Stub):
    """Repeat the last frame, each time a little brighter."""

    task = "frames"

    def forward(self, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        steps = torch.arange(1, 12).reshape(11, 1, 1, 1)
        return [{"frames": video["frames"][-1:].float() + steps} for video in inputs]


@META_ARCH_REGISTRY.register()
class StubSegmenter(_Stub):
    """Call a pixel object 1 where red is above 150, and object 2 where green is."""

    task = "segmentation"

    def forward(self, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        outputs = []
        for each in inputs:
            assert each["image"].dtype == torch.uint8 and each["image"].shape[0] == 3
            scores = torch.zeros(49, *each["image"].shape[1:])
            scores[0] = 0.5
            scores[1] = each["image"][0] > 150
            scores[2] = each["image"][1] > 150
            outputs.append({"sem_seg": scores})
        return outputs


def write_pipeline(folder: Path, predictor: str = "predictor.yaml") -> Path:
    """Write the configuration of a pipeline of stubs to ``folder``, and return its path."""
    torch.save({"model": {"weight": torch.zeros(1)}}, folder / "stub.pth")
    for name in ("Predictor", "Segmenter"):
        (folder / f"{name.lower()}.yaml").write_text(
            f"MODEL:\n  META_ARCHITECTURE: Stub{name}\n  DEVICE: cpu\n"
            f"  WEIGHTS: {folder / 'stub.pth'}\n"
            'DATASETS:\n  TRAIN: ("vps_train",)\nVERSION: 2\n'
        )
    path = folder / "pipeline.yaml"
    path.write_text(
        "MODEL:\n  DEVICE: cpu\nPIPELINE:\n"
        f'  PREDICTOR:\n    CONFIG_FILE: "{predictor}"\n'
        "  SEGMENTER:\n    CONFIG_FILE: segmenter.yaml\nVERSION: 2\n"
    )
    return path
