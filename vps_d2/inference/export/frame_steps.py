"""What is exported of models of pictures, videos and masks: all of each is one step.

Shapes: ``N`` pictures or videos, ``T`` frames, ``C`` classes with background, ``R`` objects, ``H``
rows, ``W`` columns. Pictures and masks are uint8, as they are read: normalization is inside.
"""

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from vps_d2.inference.export.made_inputs import made_masks, made_pictures
from vps_d2.inference.export.mask_rcnn import TensorMaskRCNN
from vps_d2.inference.export.steps import Sizes, Step, Tensors
from vps_d2.inference.models import LoadedModel
from vps_d2.io.errors import UserError
from vps_d2.modeling.frames.video_predictor import VideoPredictor
from vps_d2.modeling.masks.mask_simvp import MaskSimVP
from vps_d2.modeling.segmentation.unet import UNet

_LEAST_SIDE = 65
"""Of a picture for Mask R-CNN, in pixels: every feature map has two rows and columns."""


class _Pictures(nn.Module):
    """A network over pictures with the normalization before it, and logits after it."""

    def __init__(self, model: UNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model.network(self.model.normalize(frames)).float()
        return logits


class _ClassMaps(nn.Module):
    """A network over pictures that compares classes before it rearranges the pixels of patches."""

    def __init__(self, model: UNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        network = self.model.network
        scores = network.head(network.features(self.model.normalize(frames)))
        best = scores.unflatten(1, (-1, network.patch_size**2)).argmax(1).float()
        maps = F.pixel_shuffle(best, network.patch_size)[:, 0]
        return maps[:, : frames.shape[-2], : frames.shape[-1]].to(torch.uint8)


class _Videos(nn.Module):
    """A predictor of frames with the normalization before it, and pixels after it."""

    def __init__(self, model: VideoPredictor) -> None:
        super().__init__()
        self.model = model

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        model = self.model
        predicted = model.predict(model.normalize(frames), None).float()
        return (predicted * model.pixel_std + model.pixel_mean).clamp(0, 255)


class _Masks(nn.Module):
    """A predictor of masks, of which the last one is kept."""

    def __init__(self, model: MaskSimVP) -> None:
        super().__init__()
        self.model = model

    def forward(self, masks: torch.Tensor) -> torch.Tensor:
        return self.model.predict(masks)[:, -1]


def segmenter_steps(loaded: LoadedModel) -> list[Step]:
    """Return what is exported of U-Net: pictures in, logits of classes or class maps out."""
    model = loaded.model
    assert isinstance(model, UNet)

    def reference(frames: torch.Tensor) -> Tensors:
        return (torch.stack([each["sem_seg"] for each in _call(model, "image", frames)]),)

    def class_maps(frames: torch.Tensor) -> Tensors:
        return (model.class_maps([{"image": each} for each in frames]),)

    classes = model.network.head.out_channels // model.network.patch_size**2
    logits = Step(
        name="",
        network=_Pictures(model),
        inputs={"frames": ("N", 3, "H", "W")},
        outputs={"sem_seg": ("N", classes, "H", "W")},
        make=lambda sizes: (made_pictures(*sizes),),
        reference=reference,
        given=lambda pictures: (pictures[:2],),
    )
    maps = replace(
        logits,
        name="masks",
        network=_ClassMaps(model),
        outputs={"masks": ("N", "H", "W")},
        reference=class_maps,
    )
    return [logits, maps]


def predictor_steps(loaded: LoadedModel) -> list[Step]:
    """Return what is exported of a predictor of frames: frames in, the next frames out."""
    model, clip = loaded.model, loaded.clip
    assert isinstance(model, VideoPredictor)

    def make(sizes: Sizes) -> Tensors:
        videos = made_pictures(sizes.number * clip.num_input, sizes.height, sizes.width)
        return (videos.unflatten(0, (sizes.number, -1)),)

    def reference(frames: torch.Tensor) -> Tensors:
        return (torch.stack([each["frames"] for each in _call(model, "frames", frames)]),)

    return [
        Step(
            name="",
            network=_Videos(model),
            inputs={"frames": ("N", clip.num_input, 3, "H", "W")},
            outputs={"next_frames": ("N", clip.num_target, 3, "H", "W")},
            make=make,
            reference=reference,
            given=lambda pictures: (clip_of(pictures, clip.num_input),),
        )
    ]


def mask_predictor_steps(loaded: LoadedModel) -> list[Step]:
    """Return what is exported of MaskSimVP: masks in, logits of the last predicted mask out."""
    model, count = loaded.model, loaded.clip.num_input
    assert isinstance(model, MaskSimVP)
    classes = model.num_classes

    def make(sizes: Sizes) -> Tensors:
        return (made_masks(sizes.number, count, sizes.height, sizes.width, classes),)

    def reference(masks: torch.Tensor) -> Tensors:
        return (torch.stack([each["sem_seg"] for each in _call(model, "masks", masks)]),)

    return [
        Step(
            name="",
            network=_Masks(model),
            inputs={"masks": ("N", count, "H", "W")},
            outputs={"sem_seg": ("N", classes, "H", "W")},
            make=make,
            reference=reference,
            given=lambda masks: (clip_of(masks, count),),
        )
    ]


def mask_rcnn_steps(loaded: LoadedModel) -> list[Step]:
    """Return what is exported of Mask R-CNN: a picture in, its objects out."""
    network = TensorMaskRCNN(loaded.model, loaded.cfg).eval()

    def reference(image: torch.Tensor) -> Tensors:
        (output,) = _call(loaded.model, "image", image[None])
        found = output["instances"]
        soft, hard = network(image)[-1], found.pred_masks
        if soft.shape != hard.shape:
            return found.pred_boxes.tensor, found.scores, found.pred_classes, hard.float()
        # The model says only which pixels are above one half; where it agrees, compare with what
        # that was decided by.
        agrees = ((soft >= 0.5) == hard) | ((soft - 0.5).abs() < 1e-4)
        masks = torch.where(agrees, soft, torch.inf)
        return found.pred_boxes.tensor, found.scores, found.pred_classes, masks

    return [
        Step(
            name="",
            network=network,
            inputs={"image": (3, "H", "W")},
            outputs={
                "boxes": ("R", 4),
                "scores": ("R",),
                "classes": ("R",),
                "masks": ("R", "H", "W"),
            },
            make=lambda sizes: (made_pictures(1, sizes.height, sizes.width)[0],),
            reference=reference,
            given=lambda pictures: (pictures[0],),
            least=_LEAST_SIDE,
            about="One picture at a time, because each has its own number R of objects; of more "
            "than 64 rows and columns.",
        )
    ]


def clip_of(frames: torch.Tensor, count: int) -> torch.Tensor:
    """Return the first frames of a video ``(T, ...)`` as a batch of one, ``(1, count, ...)``.

    Raises:
        UserError: if it has fewer.
    """
    if len(frames) < count:
        raise UserError(
            f"--input has {len(frames)} frames, but the model takes {count}; give a longer one."
        )
    return frames[None, :count]


def _call(model: nn.Module, key: str, values: torch.Tensor) -> list[dict[str, Any]]:
    """Run an architecture over a batch, by its own interface."""
    outputs: list[dict[str, Any]] = model([{key: each} for each in values])
    return outputs
