"""Downloads of weights: whole or not at all, from URLs that the user trusts.

An address is fetched if the user wrote it on the command line (:func:`allow_address`), or if the
project knows the SHA-256 of what is there; one that a configuration file names is not, since a file
that somebody sent must not make this machine ask a server for anything.

Downloads are kept in ``VPS_D2_CACHE``, or else in the system's cache folder, under a hash of the
whole URL, so neither a file name nor another server decides where.
"""

import hashlib
import http.client
import logging
import os
import ssl
import sys
import time
import urllib.request
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import urlsplit

from tqdm import tqdm

from vps_d2 import __version__
from vps_d2.io.errors import UserError
from vps_d2.io.escape import escape_controls
from vps_d2.io.files import remove_leftovers, write_errors, write_whole
from vps_d2.io.locks import lock_file

__all__ = ["allow_address", "cache_folder", "fetch_weights", "is_address", "may_fetch"]

MAX_BYTES = 10**9
"""Largest download in bytes."""

# SHA-256 of files that the project may name, or the first digits of it, by URL.
_KNOWN: dict[str, str] = {
    # The file name has these digits for this purpose.
    "https://download.pytorch.org/models/maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth": "73cbd019",
}
_ZOO = "detectron2://"
_ZOO_SERVER = "https://dl.fbaipublicfiles.com/detectron2/"
_ENDINGS = (".pth", ".pkl", ".pyth")

_TIMEOUT = 30.0  # seconds without a byte
# A server that sends a byte now and then would stall a run forever.
_PACE_SECONDS = 60.0
_PACE_BYTES = 100_000
_CHUNK = 1 << 16
# The first bytes of a PyTorch zip archive, or of a pickle of any protocol; not of a web page.
_BEGINNINGS = (b"PK\x03\x04", b"\x80", b"(")

_allowed: set[str] = set()


def is_address(path: str) -> bool:
    """Return whether weights are named by a URL, and not by a path."""
    return "://" in path


def allow_address(address: str) -> None:
    """Allow the download of a URL from now on, since the user wrote it."""
    _allowed.add(address)


def may_fetch(address: str) -> bool:
    """Return whether the user wrote a URL, or the project knows its SHA-256."""
    return address in _allowed or _resolve(address) in _KNOWN


def cache_folder() -> Path:
    """Return the folder of downloads: VPS_D2_CACHE, or the system's cache folder."""
    named = os.environ.get("VPS_D2_CACHE")
    if named:
        return Path(named)
    home = Path.home()
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "vps_d2"
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local"), "vps_d2", "Cache")
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache", "vps_d2")


def fetch_weights(
    address: str,
    *,
    path: Path | None = None,
    context: ssl.SSLContext | None = None,
    max_bytes: int | None = None,
) -> str:
    """Return the file of a URL, which is downloaded if it was not before.

    Args:
        address: ``https://...``, or ``detectron2://...`` for what Detectron2 publishes.
        path: where the file is kept, if other programs keep it there too; None for the cache.
        context: trusted certificates; None for those of the system.
        max_bytes: largest download; None for :data:`MAX_BYTES`.

    Raises:
        UserError: if the URL is of another kind or not trusted, the server does not answer, or not
            with weights, or the file cannot be written.
    """
    resolved = _resolve(address)
    if _scheme_of(resolved) != "https":
        raise UserError(
            f"weights {address} cannot be downloaded: only URLs that begin with https:// or "
            f"{_ZOO} can; download them yourself, and give the path of the file."
        )
    if not may_fetch(address):
        raise UserError(
            f"weights {address} are named by a configuration file, but only URLs on the command "
            f"line are downloaded; if you trust them, add MODEL.WEIGHTS {address} to the command "
            f"(for a pipeline, PIPELINE.SEGMENTER.WEIGHTS {address} or the like), or download "
            "them yourself."
        )
    hint = f"put the file at {path}" if path else "give the path of the file"
    path = path or _cached(resolved)
    if path.is_file():
        return str(path)
    for folder in (cache_folder(), path.parent):
        with write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
    with write_errors(path.parent), lock_file(cache_folder() / "lock"):  # only one downloads
        if not path.is_file():
            remove_leftovers(path.parent)
            logging.getLogger(__name__).info("Downloading %s to %s", resolved, path)
            limit = MAX_BYTES if max_bytes is None else max_bytes
            _fetch(resolved, path, _make_opener(context), limit, hint)
    return str(path)


def _cached(resolved: str) -> Path:
    """Return where the file of a URL is kept."""
    suffix = PurePosixPath(resolved.partition("?")[0]).suffix
    name = hashlib.sha256(os.fsencode(resolved)).hexdigest()
    return cache_folder() / (name + (suffix if suffix in _ENDINGS else ""))


def _resolve(address: str) -> str:
    return _ZOO_SERVER + address.removeprefix(_ZOO) if address.startswith(_ZOO) else address


def _scheme_of(address: str) -> str:
    """Return the scheme of a URL in lower case, "" if it cannot be parsed."""
    try:
        return urlsplit(address).scheme
    except ValueError:
        return ""


def _make_opener(context: ssl.SSLContext | None) -> urllib.request.OpenerDirector:
    """Return an opener for https URLs and nothing else, even after a redirect."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPSHandler(context=context or ssl.create_default_context()),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    opener.addheaders = [
        ("User-Agent", f"vps_d2/{__version__}"),
        ("Accept-Encoding", "identity"),
    ]
    return opener


def _fetch(
    address: str, path: Path, opener: urllib.request.OpenerDirector, max_bytes: int, hint: str
) -> None:
    try:
        with opener.open(address, timeout=_TIMEOUT) as response, write_whole(path) as file:
            digest = _copy(response, file, address, max_bytes)
            if not digest.startswith(_KNOWN.get(address, "")):
                raise UserError(
                    f"weights {address} are not the ones that the project knows (their SHA-256 is "
                    f"{digest}); do not use them."
                )
    except UserError:
        raise
    # Server errors raise any of these, and so do invalid characters in a URL.
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        raise UserError(
            f"weights {address} cannot be downloaded ({reason}); check the URL and the "
            f"connection, or download them in another way and {hint}."
        ) from error


def _copy(response: Any, file: IO[bytes], address: str, max_bytes: int) -> str:
    """Copy the response of a server, and return its SHA-256."""
    length = response.length  # None if the server does not say it
    _check_size(length or 0, address, max_bytes)
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise ValueError("the response is compressed")
    digest, count = hashlib.sha256(), 0
    pace_start, pace_count = time.monotonic(), 0
    name = escape_controls(PurePosixPath(address).name)
    with tqdm(total=length, unit="B", unit_scale=True, desc=name) as bar:
        while chunk := response.read1(_CHUNK):
            if not count and not chunk.startswith(_BEGINNINGS):
                raise UserError(
                    f"{address} does not send a checkpoint; check the URL in a browser."
                )
            count += len(chunk)
            _check_size(count, address, max_bytes)
            digest.update(chunk)
            file.write(chunk)
            bar.update(len(chunk))
            if time.monotonic() - pace_start > _PACE_SECONDS:
                if count - pace_count < _PACE_BYTES:
                    raise TimeoutError("the server is too slow")
                pace_start, pace_count = time.monotonic(), count
    if not count or (length is not None and count != length):
        raise ValueError(f"the connection ended after {count} of {length} bytes")
    return digest.hexdigest()


def _check_size(size: int, address: str, max_bytes: int) -> None:
    if size > max_bytes:
        raise UserError(
            f"weights {address} have more than {max_bytes:,} bytes, the limit of a download; "
            "download them in another way, and give the path of the file."
        )
