"""Seeds of the random number generators."""

import logging
import os
import random

import numpy as np
import torch

__all__ = ["seed_all_rng"]


def seed_all_rng(seed: int | None = None) -> None:
    """Seed the generators of Python, NumPy and PyTorch.

    Args:
        seed: 0 to 2**32 - 1; None draws one from the system and logs it.
    """
    if seed is None:
        seed = int.from_bytes(os.urandom(4), "big")
        logging.getLogger(__name__).info("Using the random seed %d", seed)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
