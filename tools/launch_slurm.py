#!/usr/bin/env python3
"""``vps-d2 slurm`` as a script."""

from vps_d2.cli.run import run_tool
from vps_d2.cli.slurm import main

if __name__ == "__main__":
    raise SystemExit(run_tool(main))
