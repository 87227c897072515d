"""Data sets made by models: pseudo labels, and predicted frames with their true masks."""
