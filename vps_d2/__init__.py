"""Predict what a video will show next, and segment it: an extension of Detectron2."""

__version__ = "0.1.0"
