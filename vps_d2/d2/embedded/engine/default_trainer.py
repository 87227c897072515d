"""The trainer that a configuration describes."""

import logging
from abc import abstractmethod
from typing import Any

import torch
from torch import nn

from vps_d2.d2.embedded.checkpoint import DetectionCheckpointer
from vps_d2.d2.embedded.config import CfgNode
from vps_d2.d2.embedded.engine import hooks
from vps_d2.d2.embedded.engine.defaults import default_writers
from vps_d2.d2.embedded.engine.train_loop import HookBase, SimpleTrainer, TrainerBase
from vps_d2.d2.embedded.errors import user_error
from vps_d2.d2.embedded.evaluation import (
    DatasetEvaluator,
    inference_on_dataset,
    print_csv_format,
)
from vps_d2.d2.embedded.solver import LRMultiplier, build_lr_scheduler
from vps_d2.d2.embedded.utils import comm
from vps_d2.d2.embedded.utils.events import EventWriter

__all__ = ["DefaultTrainer"]

_logger = logging.getLogger(__name__)


class DefaultTrainer(TrainerBase):
    """The part of Detectron2's trainer that this project inherits.

    A subclass builds the model, the loop, the loaders and the evaluators, and sets the attributes
    in its constructor.

    Attributes:
        cfg: the configuration, scaled to the number of processes.
        scheduler: of the learning rate.
        checkpointer: saves to OUTPUT_DIR.
        max_iter: iterations of the run.
    """

    cfg: CfgNode
    scheduler: LRMultiplier
    checkpointer: DetectionCheckpointer
    _trainer: SimpleTrainer
    _last_eval_results: Any = None

    @property
    def model(self) -> nn.Module:
        """The model in training, wrapped if there are several processes."""
        return self._trainer.model

    @model.setter
    def model(self, value: nn.Module) -> None:
        self._trainer.model = value

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The optimizer."""
        return self._trainer.optimizer

    def resume_or_load(self, resume: bool = True) -> None:
        """Load the last checkpoint of OUTPUT_DIR with all its states, or else MODEL.WEIGHTS.

        Args:
            resume: go on with the run in OUTPUT_DIR, if there is one.
        """
        self.checkpointer.resume_or_load(self.cfg.MODEL.WEIGHTS, resume=resume)
        if resume and self.checkpointer.has_checkpoint():
            # The checkpoint holds the last finished iteration.
            self.start_iter = self.iter + 1

    def build_hooks(self) -> list[HookBase | None]:
        """Return the hooks: timer, learning rate, checkpoints, evaluation, and writers last."""
        all_hooks: list[HookBase | None] = [hooks.IterationTimer(), hooks.LRScheduler()]
        if comm.is_main_process():
            period = self.cfg.SOLVER.CHECKPOINT_PERIOD
            all_hooks.append(hooks.PeriodicCheckpointer(self.checkpointer, period))

        def evaluate() -> Any:
            self._last_eval_results = self.test(self.cfg, self.model)
            return self._last_eval_results

        # After the checkpoint, so that it exists if evaluation fails.
        all_hooks.append(hooks.EvalHook(self.cfg.TEST.EVAL_PERIOD, evaluate))
        if comm.is_main_process():
            all_hooks.append(hooks.PeriodicWriter(self.build_writers(), period=20))
        return all_hooks

    def build_writers(self) -> list[EventWriter]:
        """Return the writers of :func:`default_writers`."""
        return default_writers(self.cfg.OUTPUT_DIR, self.max_iter)

    def train(self) -> Any:  # type: ignore[override]  # the run's length is in cfg
        """Train from ``start_iter`` to ``max_iter``.

        Returns:
            the last scores if TEST.EXPECTED_RESULTS has any to compare them with, else None.
        """
        super().train(self.start_iter, self.max_iter)
        if not self.cfg.TEST.EXPECTED_RESULTS or not comm.is_main_process():
            return None
        _verify_results(self.cfg.TEST.EXPECTED_RESULTS, self._last_eval_results)
        return self._last_eval_results

    def run_step(self) -> None:
        """Run one iteration."""
        self._trainer.iter = self.iter
        self._trainer.run_step()

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the hooks and of the loop."""
        return {**super().state_dict(), "_trainer": self._trainer.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state."""
        super().load_state_dict(state_dict)
        self._trainer.load_state_dict(state_dict["_trainer"])

    @classmethod
    def build_lr_scheduler(cls, cfg: CfgNode, optimizer: torch.optim.Optimizer) -> Any:
        """Build the schedule of the learning rate that SOLVER describes."""
        return build_lr_scheduler(cfg, optimizer)

    @classmethod
    @abstractmethod
    def build_test_loader(cls, cfg: CfgNode, dataset_name: str) -> Any:
        """Build the loader of one data set of DATASETS.TEST."""

    @classmethod
    @abstractmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> DatasetEvaluator:
        """Build the evaluator of one data set of DATASETS.TEST."""

    @classmethod
    def test(cls, cfg: CfgNode, model: nn.Module, evaluators: Any = None) -> dict[str, Any]:
        """Evaluate a model on DATASETS.TEST.

        Args:
            cfg: configuration.
            model: with its weights.
            evaluators: one for each data set, or a single one; None for those of
                :meth:`build_evaluator`.

        Returns:
            the scores by task and metric; with several data sets, by data set first.
        """
        names = cfg.DATASETS.TEST
        if isinstance(evaluators, DatasetEvaluator):
            evaluators = [evaluators]
        if evaluators is not None:
            assert len(evaluators) == len(names), f"{len(evaluators)} evaluators for {names}"
        results: dict[str, Any] = {}
        for index, name in enumerate(names):
            evaluator = cls.build_evaluator(cfg, name) if evaluators is None else evaluators[index]
            results[name] = inference_on_dataset(model, cls.build_test_loader(cfg, name), evaluator)
            if comm.is_main_process():
                _logger.info("Evaluation results for %s in csv format:", name)
                print_csv_format(results[name])
        return next(iter(results.values())) if len(results) == 1 else results

    @staticmethod
    def auto_scale_workers(cfg: CfgNode, num_workers: int) -> CfgNode:
        """Scale a run that was configured for SOLVER.REFERENCE_WORLD_SIZE processes.

        The batch of each process stays as it is; the learning rate grows with the whole batch
        (arXiv 1706.02677), and counts of iterations shrink with it.

        Args:
            cfg: configuration, which is not changed.
            num_workers: number of processes.

        Returns:
            a scaled copy, or ``cfg`` itself if nothing has to be scaled.
        """
        reference = cfg.SOLVER.REFERENCE_WORLD_SIZE
        if reference in (0, num_workers):
            return cfg
        frozen = cfg.is_frozen()
        cfg = cfg.clone()
        cfg.defrost()
        solver, scale = cfg.SOLVER, num_workers / reference
        assert solver.IMS_PER_BATCH % reference == 0, (
            "SOLVER.IMS_PER_BATCH must be a multiple of SOLVER.REFERENCE_WORLD_SIZE"
        )
        solver.IMS_PER_BATCH = round(solver.IMS_PER_BATCH * scale)
        solver.BASE_LR *= scale
        for key in ("MAX_ITER", "WARMUP_ITERS", "CHECKPOINT_PERIOD"):
            solver[key] = round(solver[key] / scale)
        solver.STEPS = tuple(round(step / scale) for step in solver.STEPS)
        cfg.TEST.EVAL_PERIOD = round(cfg.TEST.EVAL_PERIOD / scale)
        solver.REFERENCE_WORLD_SIZE = num_workers
        _logger.info("Scaled the run from %d processes to %d.", reference, num_workers)
        if frozen:
            cfg.freeze()
        return cfg


def _verify_results(expected: list, results: dict[str, Any] | None) -> None:
    """Compare scores with entries ``[task, metric, score, tolerance]``.

    Raises:
        ValueError: if one is missing or too far off.
    """
    for task, metric, score, tolerance in expected:
        found = (results or {}).get(task, {}).get(metric, float("nan"))
        if not abs(found - score) <= tolerance:
            raise user_error(
                f"{task}/{metric} is {found}, but TEST.EXPECTED_RESULTS expects {score} within "
                f"{tolerance}; find out what changed in the run."
            )
