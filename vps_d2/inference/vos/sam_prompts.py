"""Masks from clicks and scribbles by the prompts of SAM 2.1 and EdgeTAM.

The library's model for pictures shares all parts with the model that follows objects, so nothing is
loaded or kept twice.

Shapes: ``H`` rows and ``W`` columns of the video.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from vps_d2.data.strokes import Stroke, draw_strokes
from vps_d2.inference.vos.prompts import MaskMaker

__all__ = ["SamMaskMaker"]

_POINTS = 8  # of a scribble at most; the models were trained with few
_LOGIT = 10.0  # of a mask that is certain, as these models are given masks


class SamMaskMaker(MaskMaker):
    """Makes masks with the prompt encoder and the mask decoder of a video model.

    Args:
        model: a ``Sam2VideoModel`` or ``EdgeTamVideoModel``.
        picture_model: the class of the library's model for pictures.
        picture_config: the class of its configuration.
        image_processor: of the model.
        source: see :class:`MaskMaker`.
        license_note: likewise.
    """

    def __init__(
        self,
        model: Any,
        picture_model: Any,
        picture_config: Any,
        image_processor: Any,
        source: str,
        license_note: str = "",
    ) -> None:
        self.source, self.license_note = source, license_note
        self._processor = image_processor
        config = model.config
        with torch.device("meta"):
            self._model = picture_model(
                picture_config(
                    vision_config=config.vision_config,
                    prompt_encoder_config=config.prompt_encoder_config,
                    mask_decoder_config=config.mask_decoder_config,
                )
            )
        for name, _ in [
            *self._model.named_children(),
            *self._model.named_parameters(recurse=False),
        ]:
            setattr(self._model, name, getattr(model, name))
        self._model.eval()
        self._picture: np.ndarray | None = None
        self._features: Any = None

    @torch.inference_mode()
    def make_mask(
        self, picture: np.ndarray, mask: np.ndarray, strokes: Sequence[Stroke]
    ) -> np.ndarray:
        """Make or correct the mask of an object; see the base class."""
        self._encode(picture)
        weight = self._features[-1]
        points, labels = _sample_points(strokes)
        size = self._model.prompt_encoder.input_image_size
        scale = torch.tensor([size / mask.shape[1], size / mask.shape[0]])
        prior = None
        if mask.any():
            prior = torch.from_numpy(mask).to(weight)[None, None] * 2 * _LOGIT - _LOGIT
        output = self._model(
            image_embeddings=self._features,
            input_points=(torch.tensor(points) * scale).to(weight)[None, None],
            input_labels=torch.tensor(labels, dtype=torch.int32, device=weight.device)[None, None],
            input_masks=prior,
            # One click alone may mean a part or the whole; the best of several masks is taken.
            multimask_output=prior is None and len(points) == 1,
        )
        best = int(output.iou_scores[0, 0].argmax())
        logits = output.pred_masks[0, 0, best].float()[None, None]
        logits = F.interpolate(logits, mask.shape, mode="bilinear", align_corners=False)
        positive, negative = draw_strokes(strokes, mask.shape)
        found: np.ndarray = (logits[0, 0] > 0).cpu().numpy()
        return (found | positive) & ~negative

    def _encode(self, picture: np.ndarray) -> None:
        """Keep the features of a picture, so that every further stroke is quick."""
        if self._picture is not None and np.array_equal(picture, self._picture):
            return
        inputs = self._processor(images=picture, return_tensors="pt")
        parameter = next(self._model.parameters())
        pixels = inputs.pixel_values.to(parameter.device, parameter.dtype)
        self._features = self._model.get_image_embeddings(pixels)
        self._picture = picture.copy()


def _sample_points(strokes: Sequence[Stroke]) -> tuple[list[tuple[float, float]], list[int]]:
    """Return points along strokes, and 1 for each of a positive stroke and 0 for the others."""
    points: list[tuple[float, float]] = []
    labels: list[int] = []
    for stroke in strokes:
        places = np.linspace(0, len(stroke.points) - 1, min(len(stroke.points), _POINTS))
        chosen = sorted({round(place) for place in places})
        points += [stroke.points[place] for place in chosen]
        labels += [int(stroke.positive)] * len(chosen)
    return points, labels
