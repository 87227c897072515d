"""What the commands over a folder of videos share, which may also be tar files of such folders."""

import argparse
from collections.abc import Callable
from pathlib import Path

from vps_d2.io.errors import UserError
from vps_d2.io.escape import print_line
from vps_d2.io.shards import WHOLE, Shard, shard_name, take_shard

SETTINGS_FILE = "tars.json"
_FREE = ("input", "output", "shard", "resume", "batch_size")


def run_on_folders(args: argparse.Namespace, work: Callable[[Path, Path, Shard], str]) -> None:
    """Work on a folder of videos, or on each tar file in it, and print what was done.

    The results of a tar file become a tar file of the same name; those that are there are kept.

    Args:
        args: of the command, with ``input``, ``output`` and ``shard``.
        work: given the folder of videos, that for the results and the shard, returns what it did.

    Raises:
        UserError: if a tar file is damaged, there are tar files beside videos, or the results there
            are of other options.
    """
    from vps_d2.data.layout import read_layout, write_layout
    from vps_d2.data.video import video_names
    from vps_d2.io.files import write_errors
    from vps_d2.io.folders import claim_folder
    from vps_d2.io.settings import check_settings
    from vps_d2.io.tars import list_tars, repacked

    tars = list_tars(args.input)
    if not tars:
        print_line(f"{args.output}: {work(args.input, args.output, args.shard)}")
        return
    if args.input.is_dir() and video_names(args.input):
        raise UserError(
            f"{args.input} holds tar files beside folders of videos; give a folder of one kind."
        )
    with claim_folder(args.output, shard_name(args.shard)), write_errors(args.output):
        options = {key: str(value) for key, value in vars(args).items() if key not in _FREE}
        check_settings(args.output / SETTINGS_FILE, options)
        for tar in take_shard(tars, args.shard):
            target = args.output / tar.name
            if target.exists():
                continue
            with repacked(tar, target) as (folder, results):
                write_layout(folder.parent, read_layout(tar.parent))
                done = work(folder, results, WHOLE)
            print_line(f"{target}: {done}")
