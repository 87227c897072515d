"""Reading a picture of any common format, for data sets of others' making."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from vps_d2.data.png import MAX_PIXELS
from vps_d2.data.video import FaultError, frame_size_reason, read_frame
from vps_d2.io.files import open_regular


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
    try:
        with open_regular(path) as file, Image.open(file) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                reason = f"picture of {picture.width}x{picture.height} pixels, which is too large"
                raise FaultError(path, reason, "make it smaller")
            pixels = np.array(ImageOps.exif_transpose(picture).convert("RGB"))
    except FileNotFoundError as error:
        reason, advice = "missing picture", "add it, or correct the folder of the data set"
        raise FaultError(path, reason, advice) from error
    except (OSError, UnidentifiedImageError, SyntaxError, Image.DecompressionBombError) as error:
        raise FaultError(path, "unreadable picture") from error
    if size is not None and pixels.shape[:2] != tuple(size):
        raise FaultError(path, frame_size_reason(pixels.shape[:2], size), "correct the data set")
    return pixels
