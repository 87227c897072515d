#!/usr/bin/env python3
"""Train or evaluate any architecture of the project."""

from vps_d2.cli.run import run_tool
from vps_d2.cli.train import main

if __name__ == "__main__":
    raise SystemExit(run_tool(main))
