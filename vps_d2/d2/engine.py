"""Training: Detectron2's ``detectron2.engine``."""

from vps_d2.d2 import ENGINE

if ENGINE == "detectron2":
    from detectron2.engine import (
        DefaultTrainer,
        HookBase,
        SimpleTrainer,
        TrainerBase,
        default_setup,
        hooks,
        launch,
    )
else:
    from vps_d2.d2.embedded.engine import (
        DefaultTrainer,
        HookBase,
        SimpleTrainer,
        TrainerBase,
        default_setup,
        hooks,
        launch,
    )

__all__ = [
    "DefaultTrainer",
    "HookBase",
    "SimpleTrainer",
    "TrainerBase",
    "default_setup",
    "hooks",
    "launch",
]
