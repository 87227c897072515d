"""The registry of the evaluators that score a training run."""

from collections.abc import Callable

from vps_d2.d2.config import CfgNode
from vps_d2.d2.evaluation import DatasetEvaluators
from vps_d2.d2.utils.registry import Registry
from vps_d2.io.errors import UserError

EVALUATOR_REGISTRY = Registry("EVALUATOR")
EVALUATOR_REGISTRY.__doc__ = """
Evaluators by name, as in TEST.EVALUATORS. Each is called as
``evaluator(cfg, dataset_name)`` and returns a :class:`DatasetEvaluator`.
"""


def check_evaluators(cfg: CfgNode) -> None:
    """Check the names in TEST.EVALUATORS, which training would only need later.

    Raises:
        UserError: if a name is unknown.
    """
    for name in cfg.TEST.EVALUATORS:
        if name not in EVALUATOR_REGISTRY:
            names = ", ".join(sorted(known for known, _ in EVALUATOR_REGISTRY))
            raise UserError(
                f'TEST.EVALUATORS names "{name}", which is not an evaluator; use some of '
                f"{names or 'those of vps_d2.evaluation, once that is imported'}, or name the "
                "file that registers it after --import."
            )


def build_evaluator(cfg: CfgNode, dataset_name: str) -> DatasetEvaluators:
    """Build all evaluators of TEST.EVALUATORS for one data set.

    Raises:
        UserError: if a name is unknown.
    """
    check_evaluators(cfg)
    builders: list[Callable] = [EVALUATOR_REGISTRY.get(name) for name in cfg.TEST.EVALUATORS]
    return DatasetEvaluators([build(cfg, dataset_name) for build in builders])
