"""How different frames look to people: scores that FrameErrors takes beside MSE, PSNR and SSIM.

They come from libraries and compare frames ``(T, 3, H, W)``, RGB, float 0-255. 0 is no difference.
"""

from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.error import URLError

import torch

from vps_d2.io.errors import UserError

_PEAK = 255.0
_LEAST = 31  # height and width in pixels from which on AlexNet's features have a size


def flip(predicted: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return FLIP, float32 ``(T,)``, 0-1: what is seen when the two frames alternate on a screen.

    Pixels are weighted by what the eye resolves of their colors and edges at FLIP's default
    distance, 67 pixels to a degree (Andersson et al., "FLIP: A Difference Evaluator for Alternating
    Images", HPG 2020).

    Raises:
        UserError: if flip-evaluator is not installed.
    """
    try:
        from flip_evaluator import evaluate
    except ImportError as error:
        raise UserError(
            "FLIP needs a package that is not installed; install it with pip install "
            '"vps_d2[perceptual]".'
        ) from error
    pairs = (
        [each.permute(1, 2, 0).div(_PEAK).contiguous().numpy() for each in pair]
        for pair in zip(truth, predicted.clamp(0, _PEAK), strict=True)
    )
    return torch.tensor([evaluate(*pair, "LDR", applyMagma=False)[1] for pair in pairs])


def lpips(predicted: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return LPIPS, float32 ``(T,)``: how far apart the features of AlexNet are.

    See Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR
    2018.

    Raises:
        UserError: if the frames are too small for AlexNet, or it cannot be downloaded.
    """
    height, width = truth.shape[2:]
    if min(height, width) < _LEAST:
        raise UserError(
            f"frames of {width}x{height} pixels are too small for LPIPS, which needs {_LEAST}; use "
            "larger ones."
        )
    network = _lpips_network()
    predicted, truth = predicted.clamp(0, _PEAK) / _PEAK, truth / _PEAK
    pairs = zip(predicted.split(1), truth.split(1), strict=True)
    return torch.stack([network(*pair).detach() for pair in pairs])


@cache
def _lpips_network() -> Any:
    from torchmetrics.image import LearnedPerceptualImagePatchSimilarity

    try:
        return LearnedPerceptualImagePatchSimilarity("alex", normalize=True)
    except URLError as error:
        raise UserError(
            f"AlexNet, which LPIPS needs, cannot be downloaded ({error.reason}); put its file from "
            f"torchvision into {torch.hub.get_dir()}/checkpoints, or leave out lpips."
        ) from error


PERCEPTUAL: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "flip": flip,
    "lpips": lpips,
}
"""Each such score, by name: of predicted and true frames."""
