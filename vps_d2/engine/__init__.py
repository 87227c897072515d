"""Training runs: their set-up, loop, checkpoints and hooks."""
