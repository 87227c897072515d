"""Architectures that predict masks from masks."""
