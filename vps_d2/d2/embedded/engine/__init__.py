"""Training: the loop, its hooks, the defaults of a run, and the start of its processes."""

from vps_d2.d2.embedded.engine.default_trainer import DefaultTrainer
from vps_d2.d2.embedded.engine.defaults import default_setup
from vps_d2.d2.embedded.engine.launch import launch
from vps_d2.d2.embedded.engine.train_loop import HookBase, SimpleTrainer, TrainerBase

__all__ = [
    "DefaultTrainer",
    "HookBase",
    "SimpleTrainer",
    "TrainerBase",
    "default_setup",
    "launch",
]
