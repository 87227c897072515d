"""What a result was made with, kept beside it, so that no other run goes on with it."""

import json
from collections.abc import Mapping
from pathlib import Path

from vps_d2.errors import UserError
from vps_d2.files import write_whole

MADE_WITH_FILE = "made_with.json"


def check_made_with(out: Path, made_with: Mapping[str, str | float]) -> None:
    """Note what a result is made with, or see that it is what an earlier run noted.

    Args:
        out: folder of the result, which is there.
        made_with: what decides about the result, by name.

    Raises:
        UserError: if the earlier run was made with something else.
    """
    path, text = out / MADE_WITH_FILE, json.dumps(made_with, indent=2)
    if not path.exists():
        with write_whole(str(path)) as file:
            file.write(f"{text}\n".encode())
        return
    try:
        earlier = json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"{path} cannot be read ({error}); give another folder.") from error
    if earlier != dict(made_with):
        raise UserError(
            f"{out} holds a result made with another {' and '.join(made_with)} (see "
            f"{MADE_WITH_FILE}); give the same to go on, or another folder."
        )
