"""The settings that a result was made with, kept beside it so that no other run goes on with it."""

from pathlib import Path
from typing import Any

from vps_d2.io.errors import UserError
from vps_d2.io.files import read_json, write_json


def check_settings(path: Path, settings: dict[str, Any]) -> None:
    """Record the settings of a result, or refuse to mix it with one made with others.

    Args:
        path: of the file of settings, in the folder of the result, which exists.
        settings: all that the result depends on, as JSON values.

    Raises:
        UserError: if the file holds other settings, or cannot be read or written.
    """
    try:
        there = _read_settings(path)
    except FileNotFoundError:
        write_json(path, settings)
        return
    differing = [key for key in settings if there.get(key) != settings[key]]
    if differing:
        raise UserError(
            f"{path.parent} holds results of another {differing[0]} ({there.get(differing[0])}, "
            f"not {settings[differing[0]]}); use the same settings to go on, or choose another "
            "folder."
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
            f"{path} does not hold settings; delete the folder and start again, or choose another "
            "one."
        )
    return settings
