#!/usr/bin/env python3
"""Compare every configured method on the same videos: Markdown table, JSON, and one HTML page."""

from vps_d2.cli.leaderboard import main
from vps_d2.cli.run import run_tool

if __name__ == "__main__":
    raise SystemExit(run_tool(main))
