#!/usr/bin/env python3
"""Predict frames 12-22 and the mask of frame 22 of every video in a folder."""

from vps_d2.cli.predict import main
from vps_d2.cli.run import run_tool

if __name__ == "__main__":
    raise SystemExit(run_tool(main))
