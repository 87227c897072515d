"""Who may talk to the page's server, and with how much."""

import asyncio
import json
import socket
from typing import Any

import httpx
import pytest

from vps_d2.web.guard import Guard

TOKEN, PORT = "secret", 8123
HOST = f"127.0.0.1:{PORT}"


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the path and the length of the body."""
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    body = json.dumps([scope["path"], size]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def ask(path: str, method: str = "GET", body: Any = None, **headers: str) -> httpx.Response:
    async def run() -> httpx.Response:
        guard = Guard(echo, TOKEN, PORT, limit=100, upload_limit=1000)
        transport = httpx.ASGITransport(guard, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return await client.request(method, path, content=body, headers=named)

    return asyncio.run(run())


def test_the_page_may_do_everything() -> None:
    answer = ask(f"/{TOKEN}/api/undo", "POST", b"x" * 100, origin=f"http://{HOST}")
    assert (answer.status_code, answer.json()) == (200, ["/api/undo", 100])
    assert ask(f"/{TOKEN}/", host=f"localhost:{PORT}").json() == ["/", 0]


@pytest.mark.parametrize(
    "path", ["/", "/secret", "/wrong/api/state", "/secre/", "/secret2/", "//secret/"]
)
def test_nothing_is_found_without_the_token(path: str) -> None:
    assert ask(path).status_code == 404


@pytest.mark.parametrize(
    "host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", "127.0.0.1:80", ""]
)
def test_another_name_of_this_machine_is_refused(host: str) -> None:
    answer = ask(f"/{TOKEN}/api/state", host=host)
    assert answer.status_code == 421 and "address that it printed" in answer.json()["error"]


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": f"https://{HOST}"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "none"},
    ],
)
def test_another_page_is_refused(headers: dict[str, str]) -> None:
    assert ask(f"/{TOKEN}/api/undo", "POST", **headers).status_code == 403


def test_a_link_to_the_page_may_stand_anywhere_but_no_other_address() -> None:
    assert ask(f"/{TOKEN}/", sec_fetch_site="cross-site").status_code == 200
    assert ask(f"/{TOKEN}/api/state", sec_fetch_site="cross-site").status_code == 403
    assert ask(f"/{TOKEN}/api/exports/coco", sec_fetch_site="none").status_code == 200


async def parts(count: int) -> Any:
    for _ in range(count):
        yield b"x" * 50


def test_bodies_end_at_their_limit() -> None:
    assert ask(f"/{TOKEN}/api/undo", "POST", b"x" * 101).status_code == 413
    assert ask(f"/{TOKEN}/api/import", "POST", b"x" * 1000).status_code == 200
    assert ask(f"/{TOKEN}/api/import", "POST", b"x" * 1001).status_code == 413
    assert ask(f"/{TOKEN}/api/undo", "POST", content_length="many").status_code == 400
    with pytest.raises(Exception, match="413"):  # of unknown length: while it is read
        ask(f"/{TOKEN}/api/undo", "POST", parts(3))


def test_every_answer_has_the_headers() -> None:
    for answer in (ask(f"/{TOKEN}/"), ask("/"), ask(f"/{TOKEN}/", host="evil.example")):
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert not any(name.startswith("access-control") for name in answer.headers)


def test_a_body_without_a_length_is_cut_off_while_it_comes(client: httpx.Client) -> None:
    """By a real server: the client is told as soon as too much has come."""
    host, port = client.base_url.host, client.base_url.port or 0
    with socket.create_connection((host, port), timeout=10) as connection:
        head = f"POST {client.base_url.path}api/strokes HTTP/1.1\r\nHost: {host}:{port}\r\n"
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        block = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        for _ in range(17):
            connection.sendall(block)
        assert connection.recv(100).startswith(b"HTTP/1.1 413")
