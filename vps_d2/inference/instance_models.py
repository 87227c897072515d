"""Models that find the instances in the frames of a video, behind one interface.

Shapes: ``N`` frames, ``K`` instances, ``H`` rows, ``W`` columns. Frames are uint8 RGB
``(N, H, W, 3)``, masks bool ``(K, H, W)``.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from vps_d2.d2.structures import Instances
from vps_d2.data.taxonomy import Taxonomy
from vps_d2.io.errors import UserError

__all__ = ["InstanceModel", "find_instance_model"]

_HUGGING_FACE, _ONNX = "hf:", "onnx:"
_CHOICES = f"vps, coco, or {_HUGGING_FACE} and a name or folder, or {_ONNX} and a file"


class InstanceModel(ABC):
    """A model with its weights, which finds the instances in frames.

    Attributes:
        taxonomy: the classes; instances of class number ``k`` have ``pred_classes`` ``k - 1``.
        source: what it is and where its weights come from, for the result of a run.
        license_note: a sentence for the user about the license of the weights; "" for none.
        batch_size: frames at a time that suit the model.
        tracks: whether the model tracks by itself: its instances have ``track_ids``, and it takes
            the frames of a video in order.
    """

    taxonomy: Taxonomy
    source: str
    license_note: str = ""
    batch_size: int = 1
    tracks: bool = False

    @abstractmethod
    def __call__(self, frames: np.ndarray) -> list[Instances]:
        """Find the instances in frames.

        Args:
            frames: uint8 RGB ``(N, H, W, 3)``.

        Returns:
            for each frame, on the CPU, ``Instances`` with ``pred_masks`` bool ``(K, H, W)``,
            ``pred_classes`` int64 ``(K,)`` and ``scores`` float32 ``(K,)``, the highest score
            first; of some models also with ``embeddings`` float32 ``(K, D)`` or ``track_ids`` int64
            ``(K,)``.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a hash of weights and settings, independent of paths and the device."""

    def stream(self, frames: Iterable[np.ndarray]) -> Iterator[Instances]:
        """Find the instances in the frames of a video, a few at a time.

        Args:
            frames: uint8 RGB ``(H, W, 3)`` each, in order.

        Yields:
            the instances of each frame, as a call returns them.
        """
        self.reset()
        iterator = iter(frames)
        while batch := list(islice(iterator, self.batch_size)):
            yield from self(np.stack(batch))

    def reset(self) -> None:  # noqa: B027 - most models remember nothing
        """Forget the frames so far; another video follows."""


def find_instance_model(
    model: str | None = None,
    config_file: str | Path | None = None,
    weights: str | None = None,
    opts: Sequence[str] = (),
    *,
    text: str | Sequence[str] = (),
    device: str | None = None,
    threshold: float = 0.5,
    short_side: int | None = None,
) -> InstanceModel:
    """Load the model that a user names.

    Args:
        model: ``"vps"`` for the shipped Mask R-CNN; ``"coco"`` for torchvision's; or ``"hf:"`` and
            the name or folder of a checkpoint of the library transformers; or ``"onnx:"`` and a
            file of ``vps-d2 export``, which is run on the CPU; None with a ``config_file``.
        config_file: of a Detectron2 model instead; needs weights, here or in MODEL.WEIGHTS.
        weights: checkpoint of ``config_file``: a path or, as the user wrote it, a URL.
        opts: keys and values that override the configuration.
        text: what a promptable video model is to look for; one or several.
        device: of PyTorch, such as ``"cuda:1"``; None for a GPU if there is one.
        threshold: instances with a lower score are left out.
        short_side: to how many pixels the model scales the shorter side of a frame; None for as
            many as in its training. Masks have the size of the frame in any case.

    Raises:
        UserError: if no such model exists, an argument does not belong to it, or its files are
            missing, damaged, of another model, or cannot be fetched.
    """
    texts = (text,) if isinstance(text, str) else tuple(text)
    _check_arguments(model, config_file, weights, opts, texts)
    if model and model.startswith(_ONNX) and short_side:
        raise UserError(
            f"model {model} takes frames as they are; leave --short-side out, or scale the video."
        )
    device = _check_device(device)
    # Imported here, since each of them takes seconds.
    if config_file or model in (None, "vps"):
        from vps_d2.inference import detectron_models

        return detectron_models.load_detectron_model(
            config_file or detectron_models.VPS_CONFIG,
            [*opts, "MODEL.DEVICE", device],
            weights=weights or ("" if config_file else detectron_models.VPS_WEIGHTS),
            threshold=threshold,
            short_side=short_side,
        )
    if model == "coco":
        from vps_d2.inference import torchvision_models

        return torchvision_models.load_coco_model(device, threshold, short_side)
    assert model is not None
    if model.startswith(_ONNX):
        from vps_d2.inference import onnx_models

        return onnx_models.load_onnx_model(model.removeprefix(_ONNX), threshold)
    from vps_d2.inference import huggingface

    name = model.removeprefix(_HUGGING_FACE)
    return huggingface.load_hugging_face_model(
        name, texts, device=device, threshold=threshold, short_side=short_side
    )


def _check_arguments(
    model: str | None,
    config_file: str | Path | None,
    weights: str | None,
    opts: Sequence[str],
    texts: Sequence[str],
) -> None:
    """Check that the arguments of :func:`find_instance_model` belong together."""
    if model and config_file:
        raise UserError(f"both model {model} and config file {config_file} are named; name one.")
    foreign = model is not None and model.startswith(_HUGGING_FACE)
    exported = model is not None and model.startswith(_ONNX)
    named = (foreign or exported) and model not in (_HUGGING_FACE, _ONNX)
    if model not in (None, "vps", "coco") and not named:
        raise UserError(
            f"model {model} is unknown; give {_CHOICES}, or the config file of a Detectron2 model."
        )
    if texts and not foreign:
        raise UserError(
            f"a text prompt needs a promptable video model of transformers; give it as "
            f"{_HUGGING_FACE}NAME, or leave the text out."
        )
    if weights and not config_file:
        raise UserError(
            f"weights {weights} are named without the config file of their model; give both."
        )
    if opts and (foreign or exported or model == "coco"):
        raise UserError(
            f"{opts[0]} is a key of a configuration, which model {model} does not have; leave it "
            "out."
        )


def _check_device(device: str | None) -> str:
    """Return the name of a device that PyTorch can use here, the default one for None."""
    if device is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    # PyTorch raises any of these, depending on how it was built.
    except (RuntimeError, AssertionError, NotImplementedError, ImportError) as error:
        raise UserError(
            f"device {device} is unknown or not usable here; give one that PyTorch sees, such as "
            "cpu."
        ) from error
    if torch.device(device).type == "meta":
        raise UserError(f"device {device} does not compute; give another, such as cpu.")
    return device


def make_instances(
    size: tuple[int, int],
    masks: torch.Tensor,
    classes: torch.Tensor,
    scores: torch.Tensor,
    threshold: float,
    **more: torch.Tensor,
) -> Instances:
    """Return what a model found in a frame, on the CPU, the highest score first.

    Args:
        size: rows and columns of the frame.
        masks: bool ``(K, H, W)``.
        classes: class numbers minus one ``(K,)``.
        scores: ``(K,)``.
        threshold: instances with a lower score are left out, as are empty masks.
        more: further fields ``(K, ...)``.
    """
    masks, scores = masks.detach().bool(), scores.detach().float()
    order = scores.argsort(descending=True, stable=True)
    kept = (scores >= threshold) & masks.flatten(1).any(1)
    order = order[kept[order]]
    fields = {"pred_masks": masks, "pred_classes": classes.long(), "scores": scores, **more}
    return Instances(size, **{name: value.detach()[order].cpu() for name, value in fields.items()})
