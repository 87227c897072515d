"""Processes, seeds, paths, logging and events."""
