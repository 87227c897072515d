#!/usr/bin/env python3
"""Show the main job end to end: fresh videos, predicted frames, masks, scores, pictures."""

from vps_d2.cli.demo import main
from vps_d2.cli.run import run_tool

if __name__ == "__main__":
    raise SystemExit(run_tool(main))
