"""Time exported models in ONNX Runtime beside the models in PyTorch, on the CPU in float32."""

import time
from collections.abc import Callable
from functools import partial
from statistics import median

import torch

from vps_d2.evaluation.benchmark import Figure
from vps_d2.inference.export.exporting import EXPORTERS, PLAIN
from vps_d2.inference.export.formats import check_format, open_session, to_file, trace
from vps_d2.inference.export.steps import Sizes, Step, Tensors
from vps_d2.inference.models import load_model
from vps_d2.modeling.tasks import Task

_MODELS: dict[str, tuple[str, str, Task, Sizes]] = {
    "UNet": ("unet/unet_frames.yaml", "unet.pth", "segmentation", Sizes(11, 160, 240)),
    "Mask R-CNN": (
        "mask_rcnn/mask_rcnn_R50w32_FPN_frames.yaml",
        "mask_rcnn.pth",
        "segmentation",
        Sizes(1, 160, 240),
    ),
    "SimVP": ("simvp/simvp_gsta_11to11.yaml", "simvp.pth", "frames", Sizes(1, 160, 240)),
    "MaskSimVP": (
        "mask_simvp/mask_simvp_iou.yaml",
        "mask_simvp.pth",
        "future_masks",
        Sizes(4, 160, 240),
    ),
    "ObjectDynamics": (
        "object_dynamics/object_dynamics.yaml",
        "object_dynamics.pth",
        "future_masks",
        Sizes(1, 160, 240),
    ),
    "small STCN": ("vos/small_vos.yaml", "vos_small.pth", "video_objects", Sizes(1, 240, 432)),
}
"""Configuration, shipped weights, task and inputs of each model."""


def time_exported(repeats: int) -> list[Figure]:
    """Time each step of the shipped models in both, by turns, with the threads of PyTorch.

    PyTorch computes in float32 with the memory format that it is fastest with, ONNX Runtime with
    the instructions that it finds by itself.

    Args:
        repeats: of each measurement.

    Returns:
        milliseconds of each step, and how many times as fast ONNX Runtime is.

    Raises:
        UserError: if a library for ONNX is missing.
    """
    check_format("onnx")
    figures: list[Figure] = []
    for name, (config, weights, task, sizes) in _MODELS.items():
        path, shipped = f"package://configs/{config}", f"package://{weights}"
        exported = load_model(path, PLAIN, task=task, weights=shipped)
        # With the memory format of convolutions that is the faster one for this model.
        fast = load_model(path, PLAIN[:-2], task=task, weights=shipped)
        steps = (EXPORTERS[each.cfg.MODEL.META_ARCHITECTURE](each) for each in (exported, fast))
        for step, in_pytorch in zip(*steps, strict=True):
            whole = f"{name} {step.name}".strip()
            figures += _time_step(whole, step, in_pytorch, step.make(sizes), repeats)
    return figures


def _time_step(
    name: str, step: Step, in_pytorch: Step, inputs: Tensors, repeats: int
) -> list[Figure]:
    session = open_session(to_file(trace(step), step, {}, "onnx"))
    feed = {key: value.numpy() for key, value in zip(step.inputs, inputs, strict=True)}
    runs: dict[str, Callable[[], object]] = {
        "PyTorch": partial(_in_pytorch, in_pytorch, inputs),
        "ONNX Runtime": lambda: session.run(None, feed),
    }
    seconds: dict[str, list[float]] = {key: [] for key in runs}
    for number in range(repeats + 1):
        for key, run in runs.items():
            taken = _seconds(run)
            if number:  # the first one warms up
                seconds[key].append(taken)
    medians = {key: median(values) for key, values in seconds.items()}
    figures = [Figure(f"{name}, {key}", 1000 * v, "ms", repeats) for key, v in medians.items()]
    gain = medians["PyTorch"] / medians["ONNX Runtime"]
    return [*figures, Figure(f"{name}, gain", gain, "x", repeats)]


def _in_pytorch(step: Step, inputs: Tensors) -> None:
    # PyTorch has a way of its own to class maps, which takes less time.
    run = step.reference if step.name == "masks" else step.network
    with torch.inference_mode():
        run(*inputs)


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
