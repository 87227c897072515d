"""Links to files, in the way that the system allows."""

import os
import shutil
from pathlib import Path


def link_file(path: str | Path, target: str | Path) -> None:
    """Link to a file, in whatever way the system allows.

    Args:
        path: the new name.
        target: the file. A symbolic link is made; where that is not permitted, as for most users of
            Windows, a hard link; and where there are no links, or the target is on another file
            system, a copy.

    Raises:
        OSError: if the file does not exist, or the new name is taken or cannot be written.
    """
    target = os.path.abspath(target)
    os.stat(target)  # a symbolic link would silently lead nowhere
    for link in (os.symlink, os.link):
        try:
            link(target, path)
            return
        except FileExistsError:
            raise
        except (OSError, NotImplementedError):
            continue
    shutil.copyfile(target, path)
