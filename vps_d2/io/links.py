"""Files that share the content of others."""

import os
import shutil
from pathlib import Path


def link_file(path: str | Path, target: str | Path) -> None:
    """Give a file another name, in whatever way the system allows.

    Args:
        path: the new name.
        target: the file. It is linked to symbolically; where that is not permitted, as for most
            users of Windows, by a hard link; and copied where the file system has no links or is
            another one.

    Raises:
        OSError: if there is no such file, or the new name is taken or cannot be written.
    """
    target = os.path.abspath(target)
    os.stat(target)  # a symbolic link would lead nowhere without a word
    for link in (os.symlink, os.link):
        try:
            link(target, path)
            return
        except FileExistsError:
            raise
        except (OSError, NotImplementedError):
            continue
    shutil.copyfile(target, path)
