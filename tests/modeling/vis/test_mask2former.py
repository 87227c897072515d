"""The pixel decoder and the transformer decoder compute what the public Mask2Former computes."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from vps_d2.modeling.vis.masked_decoder import MultiScaleMaskedTransformerDecoder, Prediction
from vps_d2.modeling.vis.pixel_decoder import MSDeformAttnPixelDecoder

SHAPES = {"res2": (8, 4), "res3": (16, 8), "res4": (24, 16), "res5": (32, 32)}
SIZE = (64, 96)
RECORDED = json.loads(Path(__file__).with_name("mask2former_outputs.json").read_text())


def noise(shape: torch.Size | tuple[int, ...], number: int) -> torch.Tensor:
    """Numbers from -1 to 1 that look random and are the same everywhere."""
    count = torch.Size(shape).numel()
    angles = torch.arange(count, dtype=torch.float64) * 12.9898 + number * 78.233
    return ((angles.sin() * 43758.5453).frac().abs() * 2 - 1).float().view(shape)


def fill(module: nn.Module) -> None:
    """Give a module weights that depend on their names and shapes alone."""
    with torch.no_grad():
        for number, (_, parameter) in enumerate(sorted(module.named_parameters())):
            few = parameter.ndim < 2
            scale = 0.5 if few else (6 / parameter[0].numel()) ** 0.5
            parameter.copy_(noise(parameter.shape, number) * scale)


def run(pre_norm: bool, project: bool) -> tuple[torch.Tensor, list[Prediction]]:
    pixel_decoder = MSDeformAttnPixelDecoder(
        SHAPES,
        transformer_features=("res3", "res4", "res5"),
        channels=32,
        mask_channels=16,
        num_layers=2,
        feedforward=48,
    )
    predictor = MultiScaleMaskedTransformerDecoder(
        32,
        num_classes=5,
        channels=64 if project else 32,
        mask_channels=16,
        num_queries=6,
        num_layers=4,
        feedforward=40,
        pre_norm=pre_norm,
        always_project=project,
    )
    fill(pixel_decoder)
    fill(predictor)
    features = {
        name: noise((2, channels, SIZE[0] // stride, SIZE[1] // stride), stride)
        for name, (channels, stride) in SHAPES.items()
    }
    with torch.no_grad():
        mask_features, maps = pixel_decoder(features)
        return mask_features, predictor(maps, mask_features)


@pytest.mark.parametrize("case", list(RECORDED))
def test_outputs_are_those_of_the_public_code(case: str) -> None:
    recorded = RECORDED[case]
    mask_features, predictions = run(recorded["pre_norm"], recorded["project"])
    assert len(predictions) == recorded["num_predictions"]
    found = {
        "mask_features": mask_features[:, ::5, ::5, ::7],
        "first_logits": predictions[0].logits,
        "logits": predictions[-1].logits,
        "masks": predictions[-1].masks[:, :, ::5, ::7],
    }
    for name, value in found.items():
        wanted = torch.tensor(recorded[name])
        assert wanted.abs().max() > 0.5
        torch.testing.assert_close(value, wanted, rtol=0, atol=1e-4)
