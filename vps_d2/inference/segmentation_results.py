"""The files of a segmented video, written in one pass over its frames in flat memory.

``masks/<index>.png`` (the object numbers of a frame, with a palette), ``masks.mp4``,
``overlay.mp4``, ``result.json`` (YouTube-VIS), ``tracks.csv`` and ``summary.html``.
"""

import csv
import io
import json
import shutil
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from pycocotools import mask as mask_utils

from vps_d2.data.taxonomy import Taxonomy, distinct_colors
from vps_d2.inference.objects import TrackedObject
from vps_d2.inference.result_folder import MASKS_FOLDER, OVERLAY_FILM
from vps_d2.inference.spool import SpooledFrame, decode_mask
from vps_d2.io.files import scratch_folder, write_folder, write_text, write_whole
from vps_d2.io.pictures import encode_palette_png
from vps_d2.io.video import VideoSource, numbered_png
from vps_d2.io.video_writing import MaskWriter, VideoWriter
from vps_d2.visualization.drawing import Label, format_label, label_objects, overlay_mask
from vps_d2.visualization.video_page import ObjectRow, format_video_page, make_thumbnail

RESULT_FILE = "result.json"
TRACKS_FILE = "tracks.csv"
PAGE_FILE = "summary.html"
MASKS_FILM = "masks.mp4"
LOSSLESS_FILM = "masks.mkv"

_COLUMNS = (
    "object",
    "class",
    "frame_index",
    "time_s",
    "x",
    "y",
    "width",
    "height",
    "area",
    "score",
)
_NUM_PICTURES = 8
_WHITE = (255, 255, 255)


@dataclass(frozen=True)
class ResultOptions:
    """Which files are written, and how they look.

    Args:
        colors: "instance", a color for each object; "class", that of its class; or "white".
        pictures: write ``masks/``.
        films: write ``masks.mp4``.
        lossless: write ``masks.mkv``, the object numbers as FFV1.
        overlay: write ``overlay.mp4``.
    """

    colors: str = "instance"
    pictures: bool = True
    films: bool = True
    lossless: bool = False
    overlay: bool = True

    def files(self) -> list[str]:
        """Return the names of the files and folders that are written."""
        return [
            *([MASKS_FOLDER] if self.pictures else []),
            *([MASKS_FILM] if self.films else []),
            *([LOSSLESS_FILM] if self.lossless else []),
            *([OVERLAY_FILM] if self.overlay else []),
            *(RESULT_FILE, TRACKS_FILE, PAGE_FILE),
        ]


class ResultWriter(AbstractContextManager["ResultWriter"]):
    """Writes the results of a video, frame by frame.

    Args:
        folder: for the files; those of an earlier run are replaced.
        source: the video.
        taxonomy: of the classes.
        objects: the chosen ones; object ``k`` of the results is the ``k``-th, counted from 1.
        num_frames: that will be written.
        options: which files.
        facts: names and values for the head of the page.

    Attributes:
        notes: sentences about what the films have that the frames have not.
    """

    def __init__(
        self,
        folder: Path,
        source: VideoSource,
        taxonomy: Taxonomy,
        objects: Sequence[TrackedObject],
        num_frames: int,
        options: ResultOptions,
        facts: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.notes: list[str] = []
        self._folder, self._source, self._taxonomy = folder, source, taxonomy
        self._objects, self._options, self._facts = objects, options, facts
        self._size = (source.height, source.width)
        self._numbers = {each.track_id: number for number, each in enumerate(objects, 1)}
        self._scores = {each.track_id: each.score for each in objects}
        self._colors = self._choose_colors()
        self._palette = np.zeros((256, 3), np.uint8)
        self._palette[1 : len(objects) + 1] = np.reshape(self._colors, (-1, 3))
        self._shown = set(np.linspace(0, max(num_frames - 1, 0), _NUM_PICTURES).astype(int))
        self._pictures: list[tuple[str, np.ndarray]] = []
        self._runs: list[list[list[Fraction]]] = [[] for _ in objects]
        self._places: list[int] = [-2] * len(objects)
        self._count = 0
        self._times: list[Fraction] = []  # of the first and of the last frame
        self._stack = ExitStack()
        self._films: list[Any] = []
        self._pool = ThreadPoolExecutor(1)
        self._encoding: Future[None] | None = None
        self._parts: list[IO[bytes]] = []

    def __enter__(self) -> "ResultWriter":
        with ExitStack() as stack:
            enter = stack.enter_context
            enter(self._pool)
            if self._options.pictures:
                self._masks = enter(write_folder(self._folder / MASKS_FOLDER))
            # Each object has a file of its own until all frames are known.
            parts = enter(scratch_folder(self._folder))
            self._parts = [enter((parts / str(n)).open("w+b")) for n in range(len(self._objects))]
            self._tracks = enter(write_whole(self._folder / TRACKS_FILE))
            self._write_row(_COLUMNS)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._stack.__exit__(kind, error, trace)
            return
        with self._stack:
            self._write_result()
        for film in self._films:
            self.notes += film.notes
        write_text(self._folder / PAGE_FILE, self._format_page())

    def write(self, frame: SpooledFrame, picture: np.ndarray) -> None:
        """Write a frame.

        Args:
            frame: its instances; those of objects that were not chosen are left out.
            picture: the frame itself, uint8 RGB ``(H, W, 3)``.
        """
        self._times = [self._times[0] if self._times else frame.time, frame.time]
        object_map, labels = self._write_masks(frame)
        if self._options.pictures:
            data = encode_palette_png(object_map, self._palette)
            (self._masks / numbered_png(frame.index)).write_bytes(data)
        if not self._count:
            self._open_films(frame.time)
        if self._options.overlay or self._count in self._shown:
            drawn = overlay_mask(picture, object_map, self._palette)
            label_objects(drawn, labels)
            if self._count in self._shown:
                caption = f"{float(frame.time):.2f} s"
                self._pictures.append((caption, make_thumbnail(drawn)))
        # While a frame is encoded, the next one is drawn.
        self._wait()
        shown_as = drawn if self._options.overlay else None
        self._encoding = self._pool.submit(self._write_films, frame.time, object_map, shown_as)
        self._count += 1

    def _write_films(
        self, time: Fraction, object_map: np.ndarray, drawn: np.ndarray | None
    ) -> None:
        for film in self._films:
            if isinstance(film, MaskWriter):
                film.write(object_map, time)
            elif film.path.name == OVERLAY_FILM:
                film.write(drawn, time)
            else:
                film.write(self._palette[object_map], time)

    def _wait(self) -> None:
        """Wait until the last frame is encoded, and raise what went wrong."""
        encoding, self._encoding = self._encoding, None
        if encoding is not None:
            encoding.result()

    def _write_masks(self, frame: SpooledFrame) -> tuple[np.ndarray, list[Label]]:
        """Write the masks of a frame to the files of their objects.

        Returns:
            the object map, with the most certain object on top, and the labels of the objects.
        """
        object_map = np.zeros(self._size, np.uint8)
        entries: dict[int, str] = {}
        labels: list[Label] = []
        shown = (k for k, track in enumerate(frame.track_ids) if track in self._numbers)
        for k in sorted(shown, key=lambda k: self._scores[frame.track_ids[k]]):
            number = self._numbers[frame.track_ids[k]]
            rle = {"size": self._size, "counts": frame.rles[k]}
            object_map[decode_mask(frame.rles[k], self._size)] = number
            entries[number] = json.dumps(rle)
            x, y, width, height = map(int, mask_utils.toBbox(rle))
            name = self._name(self._objects[number - 1])
            row = [number, name, frame.index, f"{float(frame.time):.6f}", x, y, width, height]
            self._write_row([*row, int(mask_utils.area(rle)), f"{frame.scores[k]:.4f}"])
            self._extend_run(number, frame.time)
            text = format_label(number, name, self._size[0])
            labels.append((text, (x, y), self._colors[number - 1]))
        for number, part in enumerate(self._parts, 1):
            comma = ", " if self._count else ""
            part.write(f"{comma}{entries.get(number, 'null')}".encode())
        return object_map, labels

    def _extend_run(self, number: int, time: Fraction) -> None:
        runs = self._runs[number - 1]
        end = time + 1 / self._source.rate
        if self._places[number - 1] == self._count - 1:
            runs[-1][1] = end
        else:
            runs.append([time, end])
        self._places[number - 1] = self._count

    def _open_films(self, origin: Fraction) -> None:
        """Open the films, whose first frame has the time 0."""
        source, options = self._source, self._options
        size = (source.height, source.width, source.rate)
        folder, enter = self._folder, self._stack.enter_context
        sound = source.path if source.path.is_file() else None
        if options.films:
            film = VideoWriter(folder / MASKS_FILM, *size, None, source.time_base, origin)
            self._films.append(enter(film))
        if options.overlay:
            film = VideoWriter(folder / OVERLAY_FILM, *size, sound, source.time_base, origin)
            self._films.append(enter(film))
        if options.lossless:
            self._films.append(enter(MaskWriter(folder / LOSSLESS_FILM, *size, origin)))
        self._stack.callback(self._wait)  # before a film is closed

    def _write_row(self, cells: Sequence[Any]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(cells)
        self._tracks.write(text.getvalue().encode())

    def _write_result(self) -> None:
        with write_whole(self._folder / RESULT_FILE) as file:
            file.write(b"[")
            for number, (seen, part) in enumerate(zip(self._objects, self._parts, strict=True), 1):
                head = {
                    "video_id": 1,
                    "object": number,
                    "category_id": seen.category_id,
                    "category": self._name(seen),
                    "score": round(seen.score, 6),
                }
                start = json.dumps(head).removesuffix("}")
                file.write(f'{", " if number > 1 else ""}{start}, "segmentations": ['.encode())
                part.seek(0)
                shutil.copyfileobj(part, file)
                file.write(b"]}")
            file.write(b"]\n")

    def _format_page(self) -> str:
        start = self._times[0] if self._times else Fraction(0)
        end = (self._times[-1] if self._times else start) + 1 / self._source.rate
        rows = [
            ObjectRow(
                *(number, self._name(seen), seen.score, self._colors[number - 1]),
                seen.num_frames,
                [(float(first), float(last)) for first, last in self._runs[number - 1]],
            )
            for number, seen in enumerate(self._objects, 1)
        ]
        film = OVERLAY_FILM if self._options.overlay else ""
        times = (float(start), float(end))
        name = self._source.path.name
        return format_video_page(name, self._facts, self._pictures, rows, times, film)

    def _name(self, seen: TrackedObject) -> str:
        return self._taxonomy.thing_classes[seen.category_id]

    def _choose_colors(self) -> list[tuple[int, int, int]]:
        if self._options.colors == "white":
            return [_WHITE] * len(self._objects)
        if self._options.colors == "class":
            return [self._taxonomy.colors[seen.category_id] for seen in self._objects]
        return list(distinct_colors(len(self._objects)))
