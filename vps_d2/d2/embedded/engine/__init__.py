"""Training: the loop, its hooks, the defaults of a run, and its start."""
