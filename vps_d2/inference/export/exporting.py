"""From a configuration to files: load, export, compare, write."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vps_d2 import __version__
from vps_d2.config.loading import load_config
from vps_d2.config.pipeline import load_pipeline_config, model_nodes
from vps_d2.data.mappers import to_tensor
from vps_d2.data.metadata import find_taxonomy
from vps_d2.inference.export.checks import Agreement, compare
from vps_d2.inference.export.formats import FORMATS, check_format, runner, to_file, trace
from vps_d2.inference.export.frame_steps import (
    mask_predictor_steps,
    mask_rcnn_steps,
    predictor_steps,
    segmenter_steps,
)
from vps_d2.inference.export.object_steps import object_dynamics_steps
from vps_d2.inference.export.steps import Shape, Step
from vps_d2.inference.export.vos_steps import stcn_steps
from vps_d2.inference.models import LoadedModel, load_model
from vps_d2.io.arrays import open_array
from vps_d2.io.errors import UserError
from vps_d2.io.files import check_output, write_whole
from vps_d2.io.resources import SHIPPED
from vps_d2.io.video import open_video
from vps_d2.modeling.tasks import model_task

EXPORTERS: dict[str, Callable[[LoadedModel], list[Step]]] = {
    "UNet": segmenter_steps,
    "SimVP": predictor_steps,
    "ConvLSTM": predictor_steps,
    "MaskSimVP": mask_predictor_steps,
    "GeneralizedRCNN": mask_rcnn_steps,
    "ObjectDynamics": object_dynamics_steps,
    "STCN": stcn_steps,
}
"""What is exported of each architecture, by its name in MODEL.META_ARCHITECTURE."""

PLAIN = ["MODEL.DEVICE", "cpu", "SOLVER.AMP.ENABLED", "False", "MODEL.CHANNELS_LAST", "False"]
"""Models are exported in single precision and without channels last, whatever the machine likes."""

_ROLES = ("predictor", "segmenter", "mask_predictor")
_MOST_FRAMES = 32
"""Of a given video, that are read to compare on."""


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    Attributes:
        path: of the file.
        num_bytes: its size.
        step: that it is of.
        agreement: with the model.
    """

    path: Path
    num_bytes: int
    step: Step
    agreement: Agreement


def export_config(
    config_file: str | Path,
    opts: Sequence[str],
    output: Path,
    *,
    form: str = "onnx",
    given: Path | None = None,
) -> Iterator[Exported]:
    """Export the model or the pipeline of a configuration to a folder.

    Of a pipeline, the models are called as their keys. A file is only written if it computes what
    the model computes.

    Args:
        config_file: of a model or a pipeline.
        opts: keys and values that override the file.
        output: the folder; older files in it of the same names are replaced.
        form: one of :data:`FORMATS`.
        given: a video or folder of pictures, or for models of masks an ``.npy`` file of class maps,
            to compare on besides made inputs; None for made ones alone.

    Yields:
        each file, when it is written.

    Raises:
        UserError: if a file or the configuration is wrong, a library is missing, a model cannot be
            exported, or what was exported computes something else.
    """
    check_format(form)
    frames = None if given is None else _read_given(given)
    for role, loaded, weights in _load(config_file, opts):
        name = loaded.cfg.MODEL.META_ARCHITECTURE
        if name not in EXPORTERS:
            raise UserError(
                f"{name} cannot be exported, only {', '.join(sorted(EXPORTERS))}; export one of "
                "these."
            )
        for step in EXPORTERS[name](loaded):
            path = output / f"{'.'.join(filter(None, (role, step.name))) or 'model'}{FORMATS[form]}"
            check_output(path)
            content = to_file(trace(step), step, describe(step, loaded, weights), form)
            agreement = compare(step, runner(content, form), _inputs(step, frames))
            with write_whole(path) as file:
                file.write(content)
            yield Exported(path, len(content), step, agreement)


def describe(step: Step, loaded: LoadedModel, weights: str) -> dict[str, str]:
    """Return what is written into a file beside the network: texts, or JSON, by name.

    Args:
        step: that is exported.
        loaded: the model.
        weights: the name of its checkpoint.
    """
    cfg, taxonomy = loaded.cfg, find_taxonomy(loaded.cfg)
    table = {
        "architecture": cfg.MODEL.META_ARCHITECTURE,
        "task": model_task(cfg),
        "step": step.name,
        "inputs": {name: list(shape) for name, shape in step.inputs.items()},
        "outputs": {name: list(shape) for name, shape in step.outputs.items()},
        "multiple_of": step.multiple,
        "about": step.about,
        **step.settings,
        "classes": list(taxonomy.thing_classes) if taxonomy else [],
        "colors": list(taxonomy.colors) if taxonomy else [],
        "one_object_per_class": taxonomy.one_object_per_class if taxonomy else False,
        "input_format": cfg.INPUT.FORMAT,
        "pixel_mean": list(cfg.MODEL.PIXEL_MEAN),
        "pixel_std": list(cfg.MODEL.PIXEL_STD),
        "num_input_frames": loaded.clip.num_input,
        "num_target_frames": loaded.clip.num_target,
        "target_gap": loaded.clip.gap,
        "weights": Path(weights).name,
        "fingerprint": loaded.fingerprint(),
        "license": license_note(weights),
        "made_by": f"vps_d2 {__version__}, PyTorch {torch.__version__}",
    }
    return {name: v if isinstance(v, str) else json.dumps(v) for name, v in table.items()}


def license_note(weights: str) -> str:
    """Return a sentence about the license of a checkpoint."""
    if weights.startswith(SHIPPED):
        return (
            "The weights are part of vps_d2, under the Apache License 2.0; its model card says "
            "what they were trained on."
        )
    return "The license of the weights is that which their authors gave them."


def format_shape(shape: Shape) -> str:
    """Return a shape as documents write it, such as (N, 3, H, W)."""
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def _load(config_file: str | Path, opts: Sequence[str]) -> Iterator[tuple[str, LoadedModel, str]]:
    """Yield the role, the model and the name of the weights of each model of a configuration."""
    cfg = load_config(config_file, opts)
    if not cfg.PIPELINE.SEGMENTER.CONFIG_FILE:
        options = [*opts, *PLAIN]
        task = model_task(cfg)
        yield "", load_model(config_file, options, task=task), cfg.MODEL.WEIGHTS
        return
    cfg = load_pipeline_config(config_file, opts)
    options = [*cfg.PIPELINE.MODEL_OPTS, *PLAIN]
    for role, node in zip(_ROLES, model_nodes(cfg), strict=True):
        if node.CONFIG_FILE:
            task = model_task(load_config(node.CONFIG_FILE, options))
            loaded = load_model(node.CONFIG_FILE, options, task=task, weights=node.WEIGHTS)
            yield role, loaded, node.WEIGHTS or loaded.cfg.MODEL.WEIGHTS


def _read_given(path: Path) -> torch.Tensor:
    """Return pictures uint8 ``(T, 3, H, W)``, or masks uint8 ``(T, H, W)``."""
    if path.suffix != ".npy":
        frames = open_video(path).frames(end=_MOST_FRAMES)
        return to_tensor(np.stack([frame.picture for frame in frames]))
    try:
        masks = open_array(path)
    except ValueError as error:
        raise UserError(f"--input {path}: {error}; give masks, uint8 (T, H, W).") from error
    if masks.dtype != np.uint8 or masks.ndim != 3 or not masks.size:
        raise UserError(
            f"--input {path} holds {masks.dtype} {masks.shape}; give masks, uint8 (T, H, W)."
        )
    return torch.from_numpy(masks[:_MOST_FRAMES])


def _inputs(step: Step, frames: torch.Tensor | None) -> list[tuple[torch.Tensor, ...]]:
    """Return what of the given frames a step can be compared on."""
    takes_masks = "masks" in step.inputs
    if frames is None or step.given is None or takes_masks != (frames.ndim == 3):
        return []
    return [step.given(frames)]
