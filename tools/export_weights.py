#!/usr/bin/env python3
"""Write the weights of checkpoints alone, in half precision, to share or ship them."""

from vps_d2.cli.export_weights import main
from vps_d2.cli.run import run_tool

if __name__ == "__main__":
    raise SystemExit(run_tool(main))
