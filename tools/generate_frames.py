#!/usr/bin/env python3
"""Write a trained predictor's own frames of labeled videos, with the true masks."""

from vps_d2.cli.generate import main
from vps_d2.cli.run import run_tool

if __name__ == "__main__":
    raise SystemExit(run_tool(main))
