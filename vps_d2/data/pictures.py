"""Reading pictures of any common format, for data sets of others' making."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from vps_d2.data.png import MAX_PIXELS
from vps_d2.data.video import FaultError, frame_size_reason, read_frame
from vps_d2.io.errors import UserError
from vps_d2.io.files import open_regular


@contextmanager
def open_picture(path: str | Path, kind: str) -> Iterator[Image.Image]:
    """Open a picture, whose pixels are read in the context, with one kind of error for all faults.

    Args:
        path: of the file.
        kind: what it is to the user: "picture" or "mask".

    Raises:
        FaultError: if the file is missing, too large, or not a readable picture.
    """
    try:
        with open_regular(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit is ours
            with Image.open(file) as picture:
                if picture.width * picture.height > MAX_PIXELS:  # before memory is allocated
                    reason = (
                        f"{kind} of {picture.width}x{picture.height} pixels, which is too large"
                    )
                    raise FaultError(path, reason, "make it smaller")
                yield picture
    except FileNotFoundError as error:
        raise FaultError(path, f"missing {kind}", "add it, or correct the path") from error
    except (UserError, MemoryError):
        raise
    # Pillow has decoders of many formats, and content that is wrong can make them raise anything.
    except Exception as error:
        raise FaultError(path, f"unreadable {kind}") from error


def read_picture(path: str | Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """Read a picture, such as a JPEG; it is rotated as its EXIF tag says.

    Args:
        path: of the file; a PNG is read as :func:`~vps_d2.data.video.read_frame` does.
        size: height and width in pixels that the picture must have; None for any.

    Returns:
        uint8 RGB ``(H, W, 3)``.

    Raises:
        FaultError: if the file is missing, not a readable picture, or of another size.
    """
    if Path(path).suffix.lower() == ".png":
        return read_frame(path, size)
    with open_picture(path, "picture") as picture:
        pixels = np.array(ImageOps.exif_transpose(picture).convert("RGB"))
    if size is not None and pixels.shape[:2] != tuple(size):
        raise FaultError(path, frame_size_reason(pixels.shape[:2], size), "correct the data set")
    return pixels
