"""The tasks of models, which their architectures declare."""

from typing import Literal, cast, get_args

from vps_d2.d2.config import CfgNode
from vps_d2.d2.modeling import META_ARCH_REGISTRY
from vps_d2.io.errors import UserError

Task = Literal[
    "frames",
    "segmentation",
    "future_masks",
    "video_instances",
    "video_objects",
    "object_mask",
    "fused_masks",
]
"""Class attribute ``task`` of an architecture; its outputs are in
:mod:`vps_d2.modeling.outputs`."""

# Architectures of Detectron2, which declare no task.
_OF_DETECTRON2: dict[str, Task] = {
    "GeneralizedRCNN": "segmentation",
    "PanopticFPN": "segmentation",
    "SemanticSegmentor": "segmentation",
}


def model_task(cfg: CfgNode) -> Task:
    """Return the task of the architecture that a configuration names.

    Raises:
        UserError: if the architecture does not exist, or declares no task.
    """
    task = find_task(cfg)
    if task is None:
        raise UserError(
            f"architecture {cfg.MODEL.META_ARCHITECTURE} declares no task; give its class an "
            f"attribute task, one of {', '.join(get_args(Task))}."
        )
    return task


def find_task(cfg: CfgNode) -> Task | None:
    """Return the task of the architecture that a configuration names, None if it declares none.

    Raises:
        UserError: if the architecture does not exist.
    """
    name = cfg.MODEL.META_ARCHITECTURE
    check_architecture(name)
    task = getattr(META_ARCH_REGISTRY.get(name), "task", _OF_DETECTRON2.get(name))
    return cast(Task, task) if task in get_args(Task) else None


def check_task(cfg: CfgNode, task: Task | tuple[Task, ...], source: str) -> None:
    """Check that a configuration describes a model for the wanted task.

    Args:
        cfg: of the model.
        task: the wanted task, or all that will do.
        source: where the configuration comes from, for the error.

    Raises:
        UserError: if the model has another task, or does not exist.
    """
    found = model_task(cfg)
    wanted = (task,) if isinstance(task, str) else task
    if found not in wanted:
        names = " or ".join(wanted)
        raise UserError(
            f"{source} describes {cfg.MODEL.META_ARCHITECTURE}, whose task is {found}, not "
            f"{names}; give a model for {names}."
        )


def check_architecture(name: str) -> None:
    """Check that an architecture is registered.

    Raises:
        UserError: if it is not.
    """
    if name not in META_ARCH_REGISTRY:
        names = ", ".join(sorted(known for known, _ in META_ARCH_REGISTRY))
        raise UserError(
            f'MODEL.META_ARCHITECTURE must be one of {names}, not "{name}"; name the file that '
            "registers your own after --import."
        )
