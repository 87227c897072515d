"""Training runs: setup, loop, checkpoints and hooks."""
