"""The page's server, which runs until it is told to stop."""

import secrets
import socket
from collections.abc import Callable
from contextlib import suppress

import uvicorn

from vps_d2.io.errors import UserError
from vps_d2.web.annotator import Annotator
from vps_d2.web.guard import Guard
from vps_d2.web.routes import make_app

__all__ = ["PageServer"]

_HOST = "127.0.0.1"
_GRACE = 3  # seconds that requests have to end when the server is stopped


class PageServer(uvicorn.Server):
    """Serves the page of one session.

    Args:
        annotator: does what the page asks for.
        port: to listen on; 0 for any that is free.

    Attributes:
        address: of the page, with its token.

    Raises:
        UserError: if the port is taken.
    """

    def __init__(self, annotator: Annotator, port: int = 0) -> None:
        self._annotator, self._socket = annotator, _listen(port)
        self._ready: Callable[[], None] | None = None
        port = self._socket.getsockname()[1]
        token = secrets.token_urlsafe(24)
        self.address = f"http://{_HOST}:{port}/{token}/"
        config = uvicorn.Config(
            Guard(make_app(annotator), token, port),  # type: ignore[arg-type]
            access_log=False,  # which would have the token in it
            log_config=None,
            log_level="warning",
            lifespan="off",
            ws="none",
            http="h11",
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_GRACE,
        )
        super().__init__(config)

    def serve_page(self, ready: Callable[[], None] | None = None) -> None:
        """Serve until the process is interrupted, or :meth:`stop` is called.

        Args:
            ready: called when the page can be opened.
        """
        self._ready = ready
        try:
            self.run(sockets=[self._socket])
        finally:
            self._socket.close()

    def stop(self) -> None:
        """End the server, from any thread."""
        self._annotator.leave()
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        if self._ready is not None and self.started:
            self._ready()

    def handle_exit(self, sig: int, frame: object) -> None:
        """Stop, and let go of the pages that listen for events."""
        self._annotator.leave()
        super().handle_exit(sig, frame)  # type: ignore[arg-type]


def _listen(port: int) -> socket.socket:
    """Return a socket on a port of this machine alone.

    Raises:
        UserError: if the port is taken.
    """
    # Of a socket that names its protocol, and of no other, asyncio sends small answers at once.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    # On Windows, another program could take over the port.
    with suppress(AttributeError, OSError):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)  # type: ignore[attr-defined]
    try:
        listener.bind((_HOST, port))
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"port {port} cannot be used ({reason}); choose another --port, or leave it out."
        ) from error
    return listener
