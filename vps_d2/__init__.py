"""Predict what a video will show next, and segment it: an extension of Detectron2."""

import warnings

__version__ = "0.1.0"

# fvcore calls it when it is imported, which no user can change.
warnings.filterwarnings("ignore", r"`torch\.jit\.script` is deprecated", FutureWarning)
