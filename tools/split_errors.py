#!/usr/bin/env python3
"""Tell why the mask of frame 22 is wrong: segmentation, motion, drawing, or objects never seen."""

from vps_d2.cli.run import run_tool
from vps_d2.cli.split_errors import main

if __name__ == "__main__":
    raise SystemExit(run_tool(main))
