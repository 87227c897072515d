"""Hooks of a trainer: Detectron2's ``detectron2.engine.hooks``."""

from vps_d2.d2 import ENGINE

if ENGINE == "detectron2":
    from detectron2.engine.hooks import (
        CallbackHook,
        EvalHook,
        IterationTimer,
        LRScheduler,
        PeriodicCheckpointer,
        PeriodicWriter,
    )
else:
    from vps_d2.d2.embedded.engine.hooks import (
        CallbackHook,
        EvalHook,
        IterationTimer,
        LRScheduler,
        PeriodicCheckpointer,
        PeriodicWriter,
    )

__all__ = [
    "CallbackHook",
    "EvalHook",
    "IterationTimer",
    "LRScheduler",
    "PeriodicCheckpointer",
    "PeriodicWriter",
]
