"""Scores in the log, in a form that is easy to copy."""

import logging
from collections.abc import Mapping

__all__ = ["print_csv_format"]


def print_csv_format(results: Mapping[str, Mapping[str, float] | float]) -> None:
    """Log the scores of every task as comma-separated values.

    Args:
        results: task -> score -> value. Scores with a dash in their name, those of single classes,
            are left out.
    """
    logger = logging.getLogger(__name__)
    for task, scores in results.items():
        if not isinstance(scores, Mapping):
            logger.info("copypaste: %s=%s", task, scores)
            continue
        main = {name: value for name, value in scores.items() if "-" not in name}
        logger.info("copypaste: Task: %s", task)
        logger.info("copypaste: %s", ",".join(main))
        logger.info("copypaste: %s", ",".join(f"{value:.4f}" for value in main.values()))
