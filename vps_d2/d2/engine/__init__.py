"""Training: Detectron2's ``detectron2.engine``."""

from vps_d2.d2 import ENGINE
from vps_d2.d2.engine import hooks

if ENGINE == "detectron2":
    from detectron2.engine import (
        DefaultPredictor,
        DefaultTrainer,
        HookBase,
        SimpleTrainer,
        TrainerBase,
        default_argument_parser,
        default_setup,
        default_writers,
        launch,
    )
else:
    from vps_d2.d2.embedded.engine import (
        DefaultPredictor,
        DefaultTrainer,
        HookBase,
        SimpleTrainer,
        TrainerBase,
        default_argument_parser,
        default_setup,
        default_writers,
        launch,
    )

__all__ = [
    "DefaultPredictor",
    "DefaultTrainer",
    "HookBase",
    "SimpleTrainer",
    "TrainerBase",
    "default_argument_parser",
    "default_setup",
    "default_writers",
    "hooks",
    "launch",
]
