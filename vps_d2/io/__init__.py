"""Files: written whole or not at all, read safely, with errors of one sentence."""
