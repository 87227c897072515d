#!/usr/bin/env python3
"""Score predicted masks by the Jaccard index, and predicted frames by MSE, PSNR and SSIM."""

from vps_d2.cli.evaluate import main
from vps_d2.cli.run import run_tool

if __name__ == "__main__":
    raise SystemExit(run_tool(main))
