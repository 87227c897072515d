"""Clips for video object segmentation: made in memory, written to disk, or read from data sets.

An object map is uint8 ``(H, W)``: 0 for none, object numbers from 1 on.
"""
