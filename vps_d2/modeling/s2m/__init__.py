"""Scribble-to-mask: the mask of an object from strokes, in one picture."""
