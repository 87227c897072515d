"""Detectron2's ``detectron2.utils``."""
