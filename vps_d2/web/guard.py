"""What stands between the page's server and everybody else on this machine and on the web.

The server listens on 127.0.0.1 only, but every website that the user visits can send requests
there, and every program of any user of the machine. So each request has to know the token in the
address, to name this server as its host (a website may give its own name this address), and to
come from the page itself. Bodies are cut off at a limit, whatever their head says.
"""

import json
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

__all__ = ["Guard", "LimitError"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_SAFE = ("GET", "HEAD")
_HEADERS = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}
"""Of every answer that does not say otherwise."""


class LimitError(HTTPException):
    """A body is larger than its limit."""

    def __init__(self, limit: int) -> None:
        super().__init__(413, f"the request has more than {limit:,} bytes; send less.")


class Guard:
    """Refuses requests that do not come from the page, and sets the headers of all answers.

    The application sees paths without the token.

    Args:
        app: the application.
        token: that addresses begin with.
        port: of the server.
        limit: bytes that a body may have.
        upload_limit: bytes that the body of an upload may have.
        upload_path: to which uploads are sent.
    """

    def __init__(
        self,
        app: App,
        token: str,
        port: int,
        *,
        limit: int = 1 << 20,
        upload_limit: int = 1 << 30,
        upload_path: str = "/api/import",
    ) -> None:
        self._app, self._token = app, token.encode()
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}
        self._origins = {f"http://{host}" for host in self._hosts}
        self._limit, self._upload_limit = limit, upload_limit
        self._upload_path = upload_path

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            return
        headers = Headers(raw=scope["headers"])
        refusal = self._check_host(headers) or self._check_token(scope)
        refusal = refusal or self._check_origin(scope, headers)
        if refusal is not None:
            await _refuse(send, *refusal)
            return
        path = scope["path"][len(self._token) + 1 :]
        limit = self._upload_limit if path == self._upload_path else self._limit
        declared = headers.get("content-length", "0")
        if not (declared.isdecimal() and declared.isascii()) or len(declared) > 18:
            await _refuse(send, 400, "the length of the request is no number.")
        elif int(declared) > limit:
            await _refuse(send, 413, LimitError(limit).detail)
        else:
            inner = {**scope, "path": path, "raw_path": path.encode(), "root_path": ""}
            await self._app(inner, _limited(receive, limit), _with_headers(send))

    def _check_host(self, headers: Headers) -> tuple[int, str] | None:
        hosts = headers.getlist("host")
        if len(hosts) == 1 and hosts[0] in self._hosts:
            return None
        return 421, "this server does not answer to that name; use the address that it printed."

    def _check_token(self, scope: Message) -> tuple[int, str] | None:
        first, slash, _ = scope["path"][1:].partition("/")
        if slash and secrets.compare_digest(first.encode(), self._token):
            return None
        return 404, "there is nothing at this address; use the whole address that was printed."

    def _check_origin(self, scope: Message, headers: Headers) -> tuple[int, str] | None:
        """Check who sends a request. A browser always names the origin of one that changes things.

        A program that is no browser names none, and needs none: it knows the token.
        """
        origins, site = headers.getlist("origin"), headers.get("sec-fetch-site", "same-origin")
        named = all(origin in self._origins for origin in origins) and len(origins) <= 1
        is_page = scope["method"] in _SAFE and scope["path"].count("/") == 2
        # Links to the page may stand anywhere, such as in a notebook.
        same = is_page or site == "same-origin" or (site == "none" and scope["method"] in _SAFE)
        if named and same:
            return None
        return 403, "this request comes from another page; use the page that this server shows."


async def _refuse(send: Send, status: int, sentence: str) -> None:
    body = json.dumps({"error": sentence}).encode()
    head = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    # What is left of the body is not read, so the connection cannot be used again.
    head.append((b"connection", b"close"))
    answer = _with_headers(send)
    await answer({"type": "http.response.start", "status": status, "headers": head})
    await answer({"type": "http.response.body", "body": body})


def _limited(receive: Receive, limit: int) -> Receive:
    """Return ``receive`` that raises an error in the middle of a body that is too large."""
    size = 0

    async def limited() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > limit:
            raise LimitError(limit)
        return message

    return limited


def _with_headers(send: Send) -> Send:
    """Return ``send`` that adds :data:`_HEADERS`."""

    async def complete(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = list(message.get("headers", []))
            names = {name.lower() for name, _ in own}
            own += [
                (name.encode(), value.encode())
                for name, value in _HEADERS.items()
                if name.encode() not in names
            ]
            message = {**message, "headers": own}
        await send(message)

    return complete
