#!/usr/bin/env python3
"""``vps-d2 replay-clevrer`` as a script."""

from vps_d2.cli.replay_clevrer import main
from vps_d2.cli.run import run_tool

if __name__ == "__main__":
    raise SystemExit(run_tool(main))
