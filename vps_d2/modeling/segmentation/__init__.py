"""Architectures that segment single frames."""
