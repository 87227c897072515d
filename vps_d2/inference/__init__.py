"""Loaded models, and what they say of videos."""
