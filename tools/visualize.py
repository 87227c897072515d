#!/usr/bin/env python3
"""Show videos, their masks and what the pipeline predicts, as GIF, MP4 and a contact sheet."""

from vps_d2.cli.run import run_tool
from vps_d2.cli.visualize import main

if __name__ == "__main__":
    raise SystemExit(run_tool(main))
