"""Masks out of a session and into it: exports to download, and files that were uploaded.

No name that comes from outside becomes a path as it is. A file that is unpacked may be made to do
harm: names that lead elsewhere, links, and more bytes than a disk has.
"""

import os
import re
import stat
import struct
import zipfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, Any

import numpy as np

from vps_d2.data.object_maps import numbered_pngs, read_object_map
from vps_d2.data.png import max_bytes
from vps_d2.inference.vos.maps import SessionMaps
from vps_d2.inference.vos.session import VOSSession
from vps_d2.io.errors import UserError
from vps_d2.io.files import scratch_folder, write_errors, write_whole
from vps_d2.io.video import VideoFrame, VideoSource
from vps_d2.web.jobs import Job

__all__ = ["Exports", "Upload", "import_upload"]

MAX_UNPACKED = 2**32
"""Bytes of all files in a zip together."""

_MAX_DIRECTORY = 2**24  # bytes of the list of files in a zip, which is read into memory
_MAX_JSON = 2**28
_SUFFIXES = {
    **{"palette": ".zip", "binary": ".zip", "coco": ".json", "ytvis": ".json"},
    **{"overlay": ".mp4", "dataset": ".zip"},
}
"""How the file of each form of an export ends."""

_STORED = (".png", ".mp4")  # which no compression makes smaller
_BLOCK = 1 << 20
_END, _END64 = struct.Struct("<4s8xI6x"), struct.Struct("<4s36xQ8x")
# What the modules of Python raise for damaged or unusual files.
_UNREADABLE = (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, OSError)


class _Watched:
    """A video, whose frames are only given as long as the job is to go on."""

    def __init__(self, source: VideoSource, job: Job) -> None:
        self._source, self._job = source, job

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def frames(self, *args: Any) -> Iterator[VideoFrame]:
        for frame in self._source.frames(*args):
            self._job.check()
            yield frame


class _Frozen:
    """A session as it was when an export began; strokes that are added meanwhile do not show."""

    def __init__(self, session: VOSSession, job: Job) -> None:
        self._session, self._job = session, job
        self._maps = SessionMaps(session.folder, session.size)
        self._maps.state = session.maps.state
        self.source = _Watched(session.source, job)
        self.objects = dict(sorted(self._maps.state.objects.items()))
        self.known_frames = self._maps.known_frames()
        job.total = len(self.known_frames)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def object_map(self, frame_index: int) -> np.ndarray | None:
        """Return what is known of a frame, and count it."""
        self._job.step(frame_index)
        known = self._maps.read(frame_index)
        return None if known is None else known[0]


class Exports:
    """The latest export of each form, in a folder of the session.

    Args:
        folder: of the session.
    """

    def __init__(self, folder: Path) -> None:
        self.session_folder = folder
        self.folder = folder / "exports"

    @property
    def forms(self) -> list[str]:
        """The forms that there are."""
        return list(_SUFFIXES)

    def path(self, form: str) -> Path:
        """Return the file of an export, whose form is known to exist."""
        return self.folder / f"{form}{_SUFFIXES[form]}"

    def name(self, form: str, video: str) -> str:
        """Return the name under which an export is downloaded."""
        return f"{_plain(video)}_{form}{self.path(form).suffix}"

    def list(self, video: str) -> list[dict[str, Any]]:
        """Return the exports that are there, as the page is told.

        Args:
            video: its name.
        """
        found = []
        for form in _SUFFIXES:
            try:
                size = self.path(form).stat().st_size
            except OSError:
                continue
            name = self.name(form, video)
            found.append({"id": form, "form": form, "name": name, "bytes": size})
        return found

    def write(self, session: VOSSession, form: str, job: Job) -> str:
        """Write an export, whole or not at all.

        Args:
            session: of the masks.
            form: of the export.
            job: counts the frames.

        Returns:
            a sentence for the user, or "".

        Raises:
            UserError: as :func:`vps_d2.inference.vos.exporting.export_session`.
        """
        from vps_d2.inference.vos.exporting import export_session  # late, as it imports PyTorch

        frozen: Any = _Frozen(session, job)
        with write_errors(self.folder):
            self.folder.mkdir(exist_ok=True)
        with scratch_folder(self.session_folder) as scratch:
            if _SUFFIXES[form] != ".zip":
                return " ".join(export_session(frozen, self.path(form), form))
            folder = scratch / _plain(session.source.name)
            notes = export_session(frozen, folder, form)
            with write_whole(self.path(form)) as file, zipfile.ZipFile(file, "w") as archive:
                for path in sorted(folder.rglob("*")):
                    job.check()
                    if path.is_file():
                        how = zipfile.ZIP_STORED
                        if path.suffix not in _STORED:
                            how = zipfile.ZIP_DEFLATED
                        archive.write(path, path.relative_to(scratch).as_posix(), how)
        return " ".join(notes)


@dataclass
class Upload(AbstractContextManager["Upload"]):
    """A file that was uploaded.

    Args:
        file: its content, from the beginning.
        frame: index of the frame that it is the mask of; None if it says so itself.
    """

    file: IO[bytes]
    frame: int | None = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.file.close()


def import_upload(upload: Upload, session: VOSSession, job: Job) -> list[int]:
    """Give the masks of an uploaded file in a session, as one action.

    Args:
        upload: a zip of what ``vps-d2 annotate`` or :meth:`VOSSession.export` writes, a PNG of one
            frame, or a JSON file of COCO's or YouTube-VIS's form.
        session: that takes the masks.
        job: counts the frames.

    Returns:
        the numbers of the objects that were given.

    Raises:
        UserError: if it is none of these, is made to do harm, or does not fit the video.
    """
    head = upload.file.read(4)
    upload.file.seek(0)
    with scratch_folder(session.folder) as scratch:
        try:
            if head == b"\x89PNG":
                return _import_png(upload, session, scratch / "mask.png")
            path = scratch / "masks.json"
            if head[:2] == b"PK":
                path = _unpack(upload.file, scratch, max_bytes(session.size), job)
            else:
                for data in _blocks(upload.file, _MAX_JSON, "the file"):
                    with path.open("ab") as file:
                        file.write(data)
                path.touch()
            return session.import_masks(path, job.step)
        except UserError as error:
            sentence = str(error).replace(f"{scratch}{os.sep}", "")
            raise UserError(sentence.replace(str(scratch), "the file")) from error


def _import_png(upload: Upload, session: VOSSession, path: Path) -> list[int]:
    if upload.frame is None:
        raise UserError("a PNG does not say which frame it is the mask of; choose the frame.")
    with path.open("wb") as file:
        for data in _blocks(upload.file, max_bytes(session.size), "the PNG"):
            file.write(data)
    return session.add_mask(upload.frame, read_object_map(path))


def _blocks(file: IO[bytes], limit: int, what: str) -> Iterator[bytes]:
    """Yield the content of a file in parts.

    Raises:
        UserError: if it has more bytes than the limit.
    """
    size = 0
    while data := file.read(_BLOCK):
        size += len(data)
        if size > limit:
            raise UserError(f"{what} has more than {limit:,} bytes; import a smaller one.")
        yield data


def _unpack(file: IO[bytes], folder: Path, png_bytes: int, job: Job) -> Path:
    """Unpack the PNGs and JSON files of a zip.

    Args:
        file: the zip.
        folder: an empty one.
        png_bytes: the most that a PNG can have.
        job: is asked for each file whether to go on.

    Returns:
        the folder or file with the masks.

    Raises:
        UserError: if it cannot be read, or is made to do harm.
    """
    _check_directory(file)
    left = MAX_UNPACKED
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                path = _place(member, folder)
                if path is None:
                    continue
                job.check()
                path.parent.mkdir(parents=True, exist_ok=True)
                limit = min(left, png_bytes if path.suffix == ".png" else _MAX_JSON)
                with archive.open(member) as packed, path.open("xb") as out:
                    for data in _blocks(packed, limit, f"{path.name} in the zip"):
                        out.write(data)
                        left -= len(data)
    except UserError:
        raise
    except FileExistsError as error:
        raise UserError("the zip has two files of one name; pack it again.") from error
    except (*_UNREADABLE, zipfile.zlib.error) as error:  # type: ignore[attr-defined]
        raise UserError(f"the zip cannot be read ({error}); pack it again.") from error
    return _find_masks(folder)


def _check_directory(file: IO[bytes]) -> None:
    """Check the size of a zip's list of files before Python reads it into memory.

    Raises:
        UserError: if it is too large, or there is none.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - 2**16 - 100, 0))
    tail = file.read()
    place = tail.rfind(b"PK\5\6")
    if place < 0 or len(tail) - place < _END.size:
        raise UserError("the zip is not complete; upload it again.")
    listed = [_END.unpack_from(tail, place)[1]]
    start = place - 20 - _END64.size  # of the larger record, if there is one
    if start >= 0 and tail[start : start + 4] == b"PK\6\6":
        listed = [_END64.unpack_from(tail, start)[1]]
    if listed[0] > _MAX_DIRECTORY:
        raise UserError("the zip has too many files; import it in parts.")
    file.seek(0)


def _place(member: zipfile.ZipInfo, folder: Path) -> Path | None:
    """Return where a file of a zip is unpacked; None if it is left out.

    Raises:
        UserError: if it is a link or encrypted, or its name leads out of the folder.
    """
    parts = PurePosixPath(member.filename).parts
    is_link = stat.S_ISLNK(member.external_attr >> 16)
    outside = member.filename.startswith("/") or ".." in parts
    if is_link or outside or any(re.search(r'[\\:*?"<>|\x00-\x1f]', part) for part in parts):
        raise UserError("the zip has a link, or a name that leads elsewhere; do not trust it.")
    if member.flag_bits & 1:
        raise UserError("the zip is encrypted; pack it again without a password.")
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    suffix = PurePosixPath(member.filename).suffix.lower()
    if member.is_dir() or hidden or suffix not in (".png", ".json") or len(parts) > 8:
        return None
    return folder.joinpath(*parts).with_suffix(suffix)


def _find_masks(folder: Path) -> Path:
    """Return the folder with the masks, or the one JSON file, of what was unpacked."""
    while True:
        if numbered_pngs(folder) or numbered_pngs(folder / "masks"):
            return folder
        files = [path for path in folder.iterdir() if path.suffix == ".json"]
        folders = [path for path in folder.iterdir() if path.is_dir()]
        if any(re.fullmatch("[1-9][0-9]{0,2}", path.name) for path in folders):  # of objects
            return folder
        if len(files) == 1 and not folders:
            return files[0]
        if len(folders) != 1:
            return folder
        folder = folders[0]


def _plain(name: str) -> str:
    """Return the name of a video as one that every system takes for a file.

    It is no number alone, which in a folder of masks names an object.
    """
    plain = re.sub(r"[^\w-]+", "_", name).strip("_")[:80]
    return f"video_{plain}" if plain.isdecimal() else plain or "video"
