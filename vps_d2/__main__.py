"""``python -m vps_d2 COMMAND``."""

from vps_d2.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
