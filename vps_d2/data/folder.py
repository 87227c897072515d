"""A folder of any number of videos: names alone are held, and each video is checked at its turn.

:mod:`vps_d2.data.faults` checks a whole data set instead, as training needs it.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, islice
from pathlib import Path
from typing import TypeVar

from vps_d2.data.faults import Fault, Scan, faults_error, try_to_scan
from vps_d2.data.layout import VideoLayout, read_layout
from vps_d2.data.video import (
    FaultError,
    duplicate_reason,
    frame_path,
    frame_size_reason,
    read_frame_size,
    video_names,
    video_number,
)
from vps_d2.io.errors import UserError
from vps_d2.io.prefetch import prefetch

__all__ = ["CHECKED", "VideoFolder"]

CHECKED = 100
"""Videos that are checked before any work: a folder of another kind is known at once, however many
videos there are."""

_THREADS = 4

Result = TypeVar("Result")


class VideoFolder:
    """A folder of videos, which are listed by name and read one by one.

    Args:
        root: the folder.
        kind: one of :data:`~vps_d2.data.faults.KINDS`.
        layout: classes and number of frames that are expected; None for those of the folder.
        skip_faulty: return the faults of a video instead of stopping at them.
        way_out: what a user can do instead of mending a faulty video.

    Attributes:
        root: the folder.
        layout: of the videos.
        names: of the videos, one for each number, in order of the numbers.
        size: height and width of frames in pixels, those of most of the first videos.

    Raises:
        UserError: if ``root`` is not a folder or holds no video, or none that can be read.
    """

    def __init__(
        self,
        root: str | Path,
        kind: str,
        *,
        layout: VideoLayout | None = None,
        skip_faulty: bool = False,
        way_out: str = "give --skip-faulty to use the rest",
    ) -> None:
        self.root, self._kind = Path(root), kind
        self._skip_faulty, self._way_out = skip_faulty, way_out
        try:
            names = video_names(root)
            if not names:
                raise FaultError(root, "no video in it")
        except FaultError as error:
            raise faults_error(str(root), [Fault.of(error)]) from error
        self.layout = layout or read_layout(root)
        self.names: list[str] = []
        self._twins: dict[str, list[str]] = {}
        for _, group in groupby(names, video_number):
            first, *others = group
            self.names.append(first)
            if others:
                self._twins[first] = [first, *others]
        sizes = self._first_sizes()
        common = Counter(islice(sizes, CHECKED)).most_common(1)
        if not common:
            scans = [self._scan(name) for name in self.names[:CHECKED]]
            raise faults_error(str(root), [fault for scan in scans for fault in scan.faults])
        self.size = common[0][0]

    def check_first(self, names: Iterable[str]) -> None:
        """Check the first :data:`CHECKED` of some videos, unless faulty ones are skipped anyway.

        Raises:
            UserError: if there are faults.
        """
        if self._skip_faulty:
            return
        found = list(prefetch(self._check, islice(names, CHECKED), 2 * _THREADS, _THREADS))
        faults = [fault for each in found for fault in each]
        if faults:
            good = len(self.names) > CHECKED or not all(found)
            raise faults_error(str(self.root), faults, self._way_out if good else "")

    def read(
        self, name: str, function: Callable[[Path], Result]
    ) -> tuple[Result | None, list[Fault]]:
        """Check a video and read it.

        Args:
            name: of the video.
            function: reads it, given its folder.

        Returns:
            what the function returned, None if the video is faulty; and the faults.

        Raises:
            UserError: if the video is faulty, and such videos are not skipped.
        """
        faults = self._check(name)
        if not faults:
            try:
                return function(self.root / name), []
            except FaultError as error:
                faults = [Fault.of(error)]
        if not self._skip_faulty:
            raise faults_error(str(self.root), faults, self._way_out)
        return None, faults

    def nothing_left(self) -> UserError:
        """Return the error that all videos were skipped."""
        return UserError(
            f"every video in {self.root} is faulty, as listed above; correct the data "
            "(vps-d2 check-dataset lists all faults)."
        )

    def _scan(self, name: str) -> Scan:
        return try_to_scan(self.root / name, self._kind, False, self.layout)

    def _check(self, name: str) -> list[Fault]:
        scan = self._scan(name)
        if name in self._twins:
            reason = duplicate_reason(video_number(name), self._twins[name])
            scan.faults.insert(0, Fault(scan.folder, reason))
        if scan.size is not None and scan.size != self.size:
            scan.faults.append(Fault(scan.folder, frame_size_reason(scan.size, self.size)))
        return scan.faults

    def _first_sizes(self) -> Iterator[tuple[int, int]]:
        """Yield the sizes of frames of the videos that have one which can be read."""
        for name in self.names:
            try:
                yield read_frame_size(frame_path(self.root / name, 0))
            except FaultError:
                continue
