"""The trainer of every architecture of the project."""

import logging
import weakref
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from vps_d2.d2.config import CfgNode
from vps_d2.d2.engine import DefaultTrainer, HookBase, TrainerBase, hooks
from vps_d2.d2.evaluation import DatasetEvaluators
from vps_d2.d2.utils import comm
from vps_d2.data.loader import CheckedLoader, build_test_loader, build_train_loader
from vps_d2.engine.average import AverageHook, averaged, keep_average
from vps_d2.engine.evaluators import build_evaluator
from vps_d2.engine.hooks import BestCheckpointer, EvaluationNote, PictureHook, read_evaluated
from vps_d2.engine.optimizer import build_optimizer
from vps_d2.engine.stopping import may_stop, stop_hooks
from vps_d2.engine.time_limit import TimeIsUp, TimeLimit
from vps_d2.engine.train_loop import AutocastTrainer
from vps_d2.io.errors import UserError
from vps_d2.modeling.batch import share_normalization
from vps_d2.modeling.build import build_model
from vps_d2.modeling.checkpoint import SafeCheckpointer
from vps_d2.modeling.precision import find_dtype, inference_autocast


class Trainer(DefaultTrainer):
    """Detectron2's default trainer with this project's loaders, evaluators and checkpoints.

    Random numbers of data and model depend on (SEED, iteration), so a run that is killed and
    resumed has the same losses as an uninterrupted one.

    Args:
        cfg: a frozen configuration.
    """

    def __init__(self, cfg: CfgNode) -> None:
        # DefaultTrainer's own constructor would build Detectron2's loop and checkpointer first.
        TrainerBase.__init__(self)
        cfg = self.auto_scale_workers(cfg, comm.get_world_size())
        self.cfg = cfg
        model = self.build_model(cfg)
        optimizer = self.build_optimizer(cfg, model)
        loader = self.build_train_loader(cfg)
        self._trainer = AutocastTrainer(
            _distribute(model),
            loader,
            optimizer,
            precision=find_dtype(cfg)[0],
            seed=cfg.SEED,
        )
        self.scheduler = self.build_lr_scheduler(cfg, optimizer)
        self._average = keep_average(cfg, model)
        self.checkpointer = SafeCheckpointer(model, cfg.OUTPUT_DIR, trainer=weakref.proxy(self))
        for name, average in self._average.items():
            self.checkpointer.add_checkpointable(name, average)
        self.start_iter = 0
        self.max_iter = cfg.SOLVER.MAX_ITER
        self.register_hooks(self.build_hooks())

    def resume_or_load(self, resume: bool = True) -> None:
        """Load the last checkpoint of OUTPUT_DIR, or else MODEL.WEIGHTS.

        Args:
            resume: go on with the run in OUTPUT_DIR, if there is one.

        Raises:
            UserError: if that run is of another model or optimizer, or a checkpoint cannot be
                loaded.
        """
        rates = [group["initial_lr"] for group in self.optimizer.param_groups]
        try:
            super().resume_or_load(resume)
        except UserError:  # raised by the checkpointer; it is also a ValueError
            raise
        # Raised by states of other objects, or with values of other types.
        except (LookupError, ValueError, TypeError, AttributeError, RuntimeError) as error:
            raise self._other_run(f"{type(error).__name__}: {error}") from error
        if self.start_iter > 0:
            groups = self.optimizer.param_groups
            missing = set(self.optimizer.defaults) - set(groups[0])
            if missing:
                raise self._other_run(f"its optimizer has no {', '.join(sorted(missing))}")
            if rates != [group["initial_lr"] for group in groups]:
                logging.getLogger(__name__).warning(
                    "SOLVER.BASE_LR is now %g, but the run goes on with the learning rates it "
                    "began with.",
                    self.cfg.SOLVER.BASE_LR,
                )
            self._trainer.data_loader = build_train_loader(self.cfg, self.start_iter)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the state of a run.

        Raises:
            ValueError: if it is not the state of a run of this kind.
        """
        own = super().state_dict()
        # Hooks accept any state, and only fail when they use it.
        states = {
            name: _find_like(state, own.get("hooks", {}).get(name, state), name)
            for name, state in state_dict.get("hooks", {}).items()
        }
        super().load_state_dict({**state_dict, "hooks": states})
        if type(self.iter) is not int or self.iter < 0:
            raise ValueError(f"iteration {self.iter!r:.80}")
        rates = self.scheduler.base_lrs
        if len(rates) != len(self.optimizer.param_groups) or set(map(type, rates)) != {float}:
            raise ValueError(f"rates of its schedule {rates!s:.80}")
        for parameter, state in self.optimizer.state.items():
            for name, value in state.items():
                shape = getattr(value, "shape", ())
                if len(shape) and shape != parameter.shape:
                    raise ValueError(
                        f"{name} has the shape {tuple(shape)}, not {tuple(parameter.shape)}"
                    )

    def train(self) -> Any:
        """Train to SOLVER.MAX_ITER, or until SOLVER.MAX_MINUTES have passed.

        Returns:
            the last scores if TEST.EXPECTED_RESULTS has any to compare them with, else None.
        """
        try:
            return super().train()
        except TimeIsUp:
            return None

    def before_train(self) -> None:
        """Call the hooks, and repeat an evaluation during which the run was killed."""
        super().before_train()
        period, done = self.cfg.TEST.EVAL_PERIOD, self.start_iter
        if not 0 < done < self.max_iter or period <= 0 or done % period:
            return
        if comm.all_gather(read_evaluated(self.cfg.OUTPUT_DIR))[0] < done:
            self.iter = self.storage.iter = done - 1
            for hook in self._hooks:
                if isinstance(hook, hooks.EvalHook | BestCheckpointer | EvaluationNote):
                    hook.after_step()

    def after_train(self) -> None:
        """Call the hooks, as at the end of a run that was not resumed there."""
        self.iter = min(self.iter, self.max_iter)
        super().after_train()

    def _other_run(self, reason: str) -> UserError:
        return UserError(
            f"the run in OUTPUT_DIR {self.cfg.OUTPUT_DIR} has another model or optimizer "
            f"({reason}); resume it with the settings in its config.yaml, or choose another "
            "OUTPUT_DIR."
        )

    def run_step(self) -> None:
        """Run one iteration.

        Raises:
            UserError: if the loss, or the model's output for a batch, is infinite or NaN; the
                weights are then as they were before the iteration. Also if a batch is too small for
                batch normalization.
        """
        try:
            super().run_step()
        except FloatingPointError as error:
            raise UserError(
                f"training diverged: a loss became infinite or NaN in iteration {self.iter}; lower "
                "SOLVER.BASE_LR, or clip gradients (SOLVER.CLIP_GRADIENTS)."
            ) from error
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise UserError(
                "a batch is reduced to a single value per channel, from which batch normalization "
                "cannot learn; raise SOLVER.IMS_PER_BATCH, or use larger frames."
            ) from error

    def build_hooks(self) -> list[HookBase | None]:
        """Return Detectron2's hooks, with pictures and the best model before the writers.

        The clock of a run that has one comes before all others, and then the average of the
        weights, if there is one.
        """
        all_hooks: list[HookBase | None] = []
        if self.cfg.SOLVER.MAX_MINUTES > 0:
            all_hooks.append(TimeLimit(self.cfg.SOLVER.MAX_MINUTES * 60))
        all_hooks += [AverageHook(each) for each in self._average.values()]
        all_hooks += super().build_hooks()
        test = self.cfg.TEST
        if comm.is_main_process():
            extra: list[HookBase] = []
            if test.BEST_METRIC:
                extra.append(
                    BestCheckpointer(
                        test.EVAL_PERIOD, self.checkpointer, test.BEST_METRIC, test.BEST_MODE
                    )
                )
            extra.append(EvaluationNote(test.EVAL_PERIOD, self.cfg.OUTPUT_DIR))
            if test.PICTURE_PERIOD > 0:
                extra.append(PictureHook(self.cfg, self.checkpointer.model))
            all_hooks[-1:-1] = extra
        return all_hooks + stop_hooks(self.checkpointer)

    @classmethod
    def build_model(cls, cfg: CfgNode) -> nn.Module:
        """Build the architecture that MODEL describes, and log it."""
        model = build_model(cfg)
        logging.getLogger(__name__).info("Model:\n%s", model)
        return model

    @classmethod
    def build_optimizer(cls, cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
        """Build the optimizer that SOLVER describes."""
        return build_optimizer(cfg, model)

    @classmethod
    def build_train_loader(cls, cfg: CfgNode) -> CheckedLoader:
        """Build the loader of DATASETS.TRAIN from its beginning."""
        return build_train_loader(cfg)

    @classmethod
    def build_test_loader(cls, cfg: CfgNode, dataset_name: str) -> CheckedLoader:
        """Build the loader of one data set in DATASETS.TEST."""
        return build_test_loader(cfg, dataset_name)

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> DatasetEvaluators:
        """Build all evaluators of TEST.EVALUATORS for one data set."""
        return build_evaluator(cfg, dataset_name)

    @classmethod
    def test(cls, cfg: CfgNode, model: nn.Module, evaluators: Any = None) -> dict[str, Any]:
        """Evaluate a model on DATASETS.TEST, in the number format of training.

        If it keeps an average of its weights, that is evaluated.

        Returns:
            the scores by evaluator and metric; with several data sets, by data set first.
        """
        if evaluators is None and not cfg.TEST.EVALUATORS:
            logging.getLogger(__name__).info("TEST.EVALUATORS is empty: nothing to evaluate.")
            return {}
        with may_stop(), averaged(model), inference_autocast(cfg):
            share_buffers(model)
            return super().test(cfg, model, evaluators)


def _find_like(state: Any, own: Any, name: str) -> Any:
    """Return the part of a state that a hook's own state has too, with values of the same types.

    Raises:
        ValueError: if a value has another type, or a list another length.
    """
    if isinstance(own, dict) and isinstance(state, dict):
        return {key: _find_like(state[key], own[key], key) for key in own if key in state}
    numbers = (int, float)
    if type(state) is not type(own) and not (type(state) in numbers and type(own) in numbers):
        raise ValueError(f"{name} is a {type(state).__name__}")
    if isinstance(own, list) and len(state) != len(own):
        raise ValueError(f"{name} has {len(state)} values, not {len(own)}")
    return state


def share_buffers(model: nn.Module) -> None:
    """Copy the buffers of the main process, which are saved, to every process of a run.

    Where they are statistics of the samples of each process, as of normalization that is not over
    the whole batch, the processes would evaluate different models without this.
    """
    if comm.get_world_size() > 1:
        for buffer in model.buffers():
            torch.distributed.broadcast(buffer, src=0)


def _distribute(model: nn.Module) -> nn.Module:
    if comm.get_world_size() == 1:
        return model
    model = share_normalization(model)
    on_gpu = next(model.parameters()).is_cuda
    devices = [torch.cuda.current_device()] if on_gpu else None
    return DistributedDataParallel(model, device_ids=devices, broadcast_buffers=False)
