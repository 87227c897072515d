"""Architectures that predict frames."""
