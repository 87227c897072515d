"""The folder of a session: its log, its object maps, and how actions come into it."""

import shutil
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np

from vps_d2 import __version__
from vps_d2.data.strokes import Stroke
from vps_d2.inference.vos.log import Action, ActionLog
from vps_d2.inference.vos.maps import SessionMaps
from vps_d2.inference.vos.propagation import STATE_FILE
from vps_d2.inference.vos.state import SessionState, split_undone
from vps_d2.io.errors import UserError
from vps_d2.io.files import read_json, remove_leftovers, write_errors, write_folder, write_json
from vps_d2.io.folders import claim_folder
from vps_d2.io.video import VideoSource, fingerprint_video

__all__ = ["SessionStore", "read_head", "remove_session"]

SESSION_FILE = "session.json"
LOG_FILE = "actions.jsonl"

_FORMAT = 1


class SessionStore:
    """The folder of a session, claimed until it is closed.

    Args:
        source: the video.
        folder: of the session; made if it is missing.

    Attributes:
        log: the actions.
        maps: the object maps, and what holds now.

    Raises:
        UserError: if the folder holds something else or a session of another video, another
            process has opened it, or it cannot be written.
    """

    def __init__(self, source: VideoSource, folder: Path) -> None:
        self.folder = folder
        self.maps = SessionMaps(folder, (source.height, source.width))
        with ExitStack() as stack:
            stack.enter_context(claim_folder(folder))
            self._check(source)
            for each in _list_action_folders(folder):
                remove_leftovers(each)
            self.log = ActionLog(folder / LOG_FILE)
            self._replay()
            self._stack = stack.pop_all()

    def close(self) -> None:
        """Let other processes open the folder."""
        self._stack.close()

    def copy(self, folder: Path) -> None:
        """Write a copy of the folder; see :meth:`VOSSession.save`."""
        if folder.resolve() == self.folder.resolve():
            raise UserError(f"{folder} is the folder of the session itself; choose another one.")
        if folder.exists() and read_head(folder) is None and any(folder.iterdir()):
            raise UserError(f"{folder} holds something that is no session; choose another folder.")
        with write_folder(folder) as fresh:
            hidden = shutil.ignore_patterns(".vps_d2*")
            shutil.copytree(self.folder, fresh, ignore=hidden, dirs_exist_ok=True)

    def done(self) -> list[Action]:
        """Return the actions that hold, the latest last."""
        return split_undone(self.log.actions)[0]

    def undone(self) -> list[Action]:
        """Return the actions that can be redone; the last one comes first."""
        return split_undone(self.log.actions)[1]

    def do(self, do: str, **values: Any) -> Action:
        """Log an action, and remove the files of those that can no longer be redone.

        Raises:
            UserError: if the log cannot be written.
        """
        undone = self.undone()
        action = self.log.append(do, values)
        for each in undone:
            if each["do"] in ("masks", "propagate"):
                folder = self.maps.action_folder(each["do"], each["id"])
                shutil.rmtree(folder, ignore_errors=True)
        self._replay()
        return action

    def turn(self, do: str) -> bool:
        """Undo or redo an action, whose name is given. Return whether there was one."""
        actions = self.done() if do == "undo" else self.undone()
        if actions:
            self.log.append(do, {"of": actions[-1]["id"]})
            self._replay()
        return bool(actions)

    def give(
        self,
        maps: Iterable[tuple[int, np.ndarray, Sequence[int]]],
        strokes: Sequence[Stroke] | None = None,
    ) -> list[int]:
        """Write masks of the user, and then log them: the log names no file that is not there.

        Args:
            maps: index of a frame, object map, and the numbers of the objects that it fixes.
            strokes: that made the one mask.

        Returns:
            the numbers of all these objects.

        Raises:
            UserError: if there is no map, or a file cannot be written.
        """
        action, frames = self.log.next_id(), {}
        folder = self.clean_action("masks", action)
        try:
            for index, object_map, numbers in maps:
                self.maps.write(self.maps.given_path(action, index), object_map)
                frames[str(index)] = list(numbers)
            if not frames:
                raise UserError("no mask has an object in it; mark at least one.")
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        drawn = {} if strokes is None else {"strokes": [each.to_json() for each in strokes]}
        self.do("masks", frames=frames, **drawn)
        return sorted({number for numbers in frames.values() for number in numbers})

    def clean_action(self, do: str, action: int) -> Path:
        """Remove the files that a process left for an action before it was killed.

        Returns:
            the folder for the files of the action.
        """
        folder = self.maps.action_folder(do, action)
        with write_errors(folder), suppress(FileNotFoundError):
            shutil.rmtree(folder)
        return folder

    def _check(self, source: VideoSource) -> None:
        """Check the folder, and make it one of a session if it is empty."""
        head, own = read_head(self.folder), fingerprint_video(source.path)
        if head is not None:
            if head["video"]["fingerprint"] != own:
                raise UserError(
                    f"{self.folder} holds a session of another video, {head['video']['path']}; "
                    "choose another folder."
                )
            return
        if any(not path.name.startswith(".vps_d2") for path in self.folder.iterdir()):
            raise UserError(
                f"{self.folder} holds something that is no session; choose another folder."
            )
        video = {
            "path": str(source.path.resolve()),
            "height": source.height,
            "width": source.width,
            "fingerprint": own,
        }
        content = {"program": f"vps_d2 {__version__}", "format": _FORMAT, "video": video}
        write_json(self.folder / SESSION_FILE, content)

    def _replay(self) -> None:
        try:
            self.maps.state = SessionState.from_actions(self.done())
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise UserError(
                f"{self.log.path} holds actions that do not belong together; restore it from a "
                "copy."
            ) from error


def read_head(folder: Path) -> dict[str, Any] | None:
    """Return the content of ``session.json``, None if the folder holds none.

    Raises:
        UserError: if it is damaged, or of a later version.
    """
    path = folder / SESSION_FILE
    try:
        content = read_json(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError):
        content = None
    video = content.get("video") if isinstance(content, dict) else None
    keys = ("path", "fingerprint")
    if not isinstance(video, dict) or not all(isinstance(video.get(k), str) for k in keys):
        raise UserError(f"{path} is damaged; restore it, or choose another folder.")
    if content.get("format") != _FORMAT:
        raise UserError(f"{path} was written by a later version; update vps_d2 to open it.")
    return dict(content)


def remove_session(folder: Path) -> None:
    """Remove the files of a session, and then its folder; files of somebody else are kept."""
    folders = _list_action_folders(folder)
    for each in folders:
        remove_leftovers(each)
        (each / STATE_FILE).unlink(missing_ok=True)
        for file in each.glob("[0-9]" * 6 + "*.png"):
            file.unlink()
    for name in (SESSION_FILE, LOG_FILE):
        (folder / name).unlink(missing_ok=True)
    for each in (*folders, *{each.parent for each in folders}, folder):
        with suppress(OSError):  # it holds files of somebody else
            each.rmdir()


def _list_action_folders(folder: Path) -> list[Path]:
    """Return the folders of the files of actions."""
    number = "[0-9]" * 6
    return [*folder.glob(f"masks/{number}*"), *folder.glob(f"frames/{number}*")]
