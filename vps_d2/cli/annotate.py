"""Annotate a video in the browser: click on objects, follow them, correct, and export masks."""

import argparse
import importlib.util
import os
import platform
import sys
import threading
import webbrowser
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from vps_d2.cli.arguments import CommandParser, parse_count
from vps_d2.cli.plugins import import_parts
from vps_d2.cli.videos import (
    add_engine_options,
    add_override_options,
    add_prompt_options,
    add_rate_option,
    print_notes,
)
from vps_d2.io.errors import UserError
from vps_d2.io.escape import print_line

if TYPE_CHECKING:
    from vps_d2.web.annotator import Annotator
    from vps_d2.web.server import PageServer

EPILOG = """examples:
  vps-d2 annotate clip.mp4
  vps-d2 annotate clip.mp4 --session output/annotate/clip --engine sam2:facebook/sam2.1-hiera-tiny
  vps-d2 annotate --session output/annotate/clip

The page is shown at an address of this machine that nobody else can open. All that is done on it is
in the session's folder at once; the same command goes on where it was left. Ctrl-C ends it.
"""
OUTPUT = Path("output/annotate")
LINK_FILE = "open.html"
_WAIT_FOR_PAGE = 2.0  # seconds
_PACKAGES = ("fastapi", "uvicorn", "python_multipart")


def parse_args(argv: Sequence[str] | None, prog: str | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(prog, __doc__, EPILOG)
    add = parser.add_argument
    add(
        "input",
        type=Path,
        nargs="?",
        metavar="IN",
        help="video file, or folder of pictures (default: that of the session)",
    )
    add(
        "--session",
        type=Path,
        metavar="DIR",
        help=f"folder of the session; opened again if it is there (default: {OUTPUT}/NAME)",
    )
    add("--port", type=parse_port, default=0, metavar="N", help="of the page (default: a free one)")
    add("--no-browser", action="store_true", help="only print the address of the page")
    add_engine_options(parser)
    add_prompt_options(parser)
    add_rate_option(parser)
    add_override_options(parser)
    args = parser.parse_args(argv)
    if args.input is None and args.session is None:
        parser.error("name a video, or a --session to go on with")
    return args


def parse_port(text: str) -> int:
    """Read the number of a port, 0 for any that is free."""
    port = parse_count(text)
    if port < 2**16:
        return port
    raise argparse.ArgumentTypeError(f"{text} is not the number of a port, from 0 to 65535")


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Serve the page until Ctrl-C.

    Args:
        argv: arguments; None for those of the command line.
        prog: how the command was called; None for the name of the script.

    Raises:
        UserError: if the video, the session, the engine or the port cannot be used.
    """
    args = parse_args(argv, prog)
    if not all(importlib.util.find_spec(name) for name in _PACKAGES):
        raise UserError(
            'the page needs FastAPI and Uvicorn; install them with pip install "vps_d2[web]".'
        )
    import_parts(args.imports)

    from vps_d2.web.annotator import Annotator, open_session
    from vps_d2.web.server import PageServer

    annotator = Annotator(open_session(args.input, args.session, OUTPUT, args.rate))
    try:
        with suppress(KeyboardInterrupt):  # Ctrl-C ends the server, in one way or the other
            _serve(PageServer(annotator, args.port), annotator, args)
        print_notes([f"stopped; {annotator.session.folder} has all that was done."])
    finally:
        annotator.close()


def _serve(server: "PageServer", annotator: "Annotator", args: argparse.Namespace) -> None:
    failures: list[BaseException] = []

    def load() -> None:
        # The page can be looked at while the network is loaded, which takes all the machine has.
        annotator.shown.wait(_WAIT_FOR_PAGE)
        try:
            if not annotator.is_closed:
                _load_engine(annotator, args)
        except BaseException as error:
            failures.append(error)
            server.stop()

    def ready() -> None:
        print_line(f"open {server.address}")
        sys.stdout.flush()
        if not args.no_browser:
            link = _write_link(server.address, annotator.session.folder)
            threading.Thread(target=webbrowser.open, args=(link,), daemon=True).start()
        threading.Thread(target=load, name="engine", daemon=True).start()

    try:
        server.serve_page(ready)
    finally:
        (annotator.session.folder / LINK_FILE).unlink(missing_ok=True)
    if failures:
        raise failures[0]


def _write_link(address: str, folder: Path) -> str:
    """Write a file that leads to the page, and which only its owner can read.

    Every user of a machine can see the words with which a browser was started, and the address has
    the token in it.

    Returns:
        the address of the file; that of the page where a browser cannot open such files.
    """
    if "microsoft" in platform.release().lower():  # a browser of Windows, outside this Linux
        return address
    path = (folder / LINK_FILE).absolute()
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f'<meta http-equiv="refresh" content="0; url={address}">\n')
    return path.as_uri()


def _load_engine(annotator: "Annotator", args: argparse.Namespace) -> None:
    from vps_d2.inference.vos.engines import find_vos_engine
    from vps_d2.inference.vos.prompts import find_mask_maker

    engine = find_vos_engine(
        *(args.engine, args.config_file, args.weights, args.opts), device=args.device
    )
    maker = find_mask_maker(engine, args.prompt_weights, args.prompt_config, args.device)
    print_notes(dict.fromkeys([engine.license_note, maker.license_note]))
    annotator.use_engine(engine, maker, args.short_side or engine.short_side)
