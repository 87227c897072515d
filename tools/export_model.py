#!/usr/bin/env python3
"""``vps-d2 export`` as a script."""

from vps_d2.cli.export import main
from vps_d2.cli.run import run_tool

if __name__ == "__main__":
    raise SystemExit(run_tool(main))
