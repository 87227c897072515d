#!/usr/bin/env python3
"""Measure mean and standard deviation of a data set's pixels, and write them as a config."""

from vps_d2.cli.compute_mean_std import main
from vps_d2.cli.run import run_tool

if __name__ == "__main__":
    raise SystemExit(run_tool(main))
