"""What a result was made with, kept beside it, so that no other run goes on with it."""

from pathlib import Path
from typing import Any

from vps_d2.io.errors import UserError
from vps_d2.io.files import read_json, write_json


def check_settings(path: Path, settings: dict[str, Any]) -> None:
    """Write down what a result is made with, or refuse to mix it with another.

    Args:
        path: of the file that says it, in the folder of the result, which is there.
        settings: that decide about the result, as JSON holds them.

    Raises:
        UserError: if the file says otherwise, or cannot be read or written.
    """
    try:
        there = _read_settings(path)
    except FileNotFoundError:
        write_json(path, settings)
        return
    differing = [key for key in settings if there.get(key) != settings[key]]
    if differing:
        raise UserError(
            f"{path.parent} holds what was made with another {differing[0]} "
            f"({there.get(differing[0])}, not {settings[differing[0]]}); repeat its "
            "settings to go on with it, or choose another folder."
        )


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        settings = read_json(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); remove it.") from error
    except ValueError:
        settings = None
    if not isinstance(settings, dict):
        raise UserError(
            f"{path} does not hold settings; delete the folder and make it anew, or choose another."
        )
    return settings
