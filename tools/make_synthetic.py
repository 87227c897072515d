#!/usr/bin/env python3
"""Make a data set of videos like the real ones: frames, exact masks, and the objects' motion."""

from vps_d2.cli.make_synthetic import main
from vps_d2.cli.run import run_tool

if __name__ == "__main__":
    raise SystemExit(run_tool(main))
