"""Files: whole or absent, read safely; errors of one sentence."""
