"""Training: the loop, its hooks, the defaults of a run, and its start."""

from vps_d2.d2.embedded.engine import hooks
from vps_d2.d2.embedded.engine.default_trainer import DefaultTrainer
from vps_d2.d2.embedded.engine.defaults import (
    DefaultPredictor,
    create_ddp_model,
    default_argument_parser,
    default_setup,
    default_writers,
)
from vps_d2.d2.embedded.engine.launch import launch
from vps_d2.d2.embedded.engine.train_loop import (
    AMPTrainer,
    HookBase,
    SimpleTrainer,
    TrainerBase,
)

__all__ = [
    "AMPTrainer",
    "DefaultPredictor",
    "DefaultTrainer",
    "HookBase",
    "SimpleTrainer",
    "TrainerBase",
    "create_ddp_model",
    "default_argument_parser",
    "default_setup",
    "default_writers",
    "hooks",
    "launch",
]
