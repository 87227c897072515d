#!/usr/bin/env python3
"""Segment videos that have no masks, so that models can learn from them (pseudo labels)."""

from vps_d2.cli.label import main
from vps_d2.cli.run import run_tool

if __name__ == "__main__":
    raise SystemExit(run_tool(main))
