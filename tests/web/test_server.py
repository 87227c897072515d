"""The page's addresses, as a browser uses them."""

import base64
import io
import json
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.inference.vos.stub import SIZE, overlap, truth
from tests.web.stub import GRAY_CLICK, RED_CLICK, post, wait_for_job, wait_until
from vps_d2.data.object_maps import OBJECT_PALETTE
from vps_d2.io.errors import UserError
from vps_d2.web import routes
from vps_d2.web.annotator import Annotator
from vps_d2.web.server import PageServer


def read(data: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(data)).convert("RGBA"))


def test_the_page_and_its_files(
    client: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "STATIC", tmp_path / "static")
    (tmp_path / "static").mkdir()
    (tmp_path / "static/index.html").write_text('<script nonce="{{nonce}}"></script>')
    (tmp_path / "static/main.js").write_text("export {}")
    (tmp_path / "secret.js").write_text("secret")
    nonces = set()
    for _ in range(2):
        answer = client.get("")
        nonce = re.search(r'nonce="([\w-]{20,})"', answer.text)
        assert nonce is not None
        policy = answer.headers["content-security-policy"]
        assert f"script-src 'nonce-{nonce[1]}';" in policy and "unsafe" not in policy
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        nonces.add(nonce[1])
    assert len(nonces) == 2
    assert client.get("static/main.js").headers["content-type"].startswith("text/javascript")
    for name in ("index.html", "none.js", "..%2fsecret.js", "%2e%2e/secret.js", "../secret.js", ""):
        assert client.get(f"static/{name}").status_code == 404


def test_from_a_click_to_a_download(client: httpx.Client) -> None:
    state = client.get("api/state").json()
    assert state["video"] == {
        **{"name": "clip", "width": 64, "height": 48, "rate": 10.0, "num_frames": 11, "losses": ""}
    }
    assert state["engine"] == state["prompts"] == {"source": "colors", "license_note": ""}
    assert (state["objects"], state["can_undo"], state["job"], state["exports"]) == (
        [],
        False,
        None,
        [],
    )
    assert client.get("api/timeline").json() == {"frames": 11, "objects": {}}

    clicked = post(client, "strokes", frame=0, object=None, strokes=[RED_CLICK])
    mask = read(base64.b64decode(clicked["mask"]))
    assert clicked["object"] == 1 and overlap(mask[..., 3] == 255, truth(0) == 1, True) > 0.9
    assert (mask[mask[..., 3] > 0][:, :3] == OBJECT_PALETTE[1]).all()
    assert (mask[..., 3] == read(client.get("api/masks/0.png").content)[..., 3]).all()
    strokes = client.get("api/strokes/0").json()
    assert strokes == {"1": [{**RED_CLICK, "positive": True, "radius": 5.0}]}
    assert client.get("api/strokes/1").json() == {}

    assert client.patch("api/objects/1", json={"name": "<dog>"}).status_code == 200
    (dog,) = client.get("api/state").json()["objects"]
    assert dog == {"number": 1, "name": "<dog>", "color": "#800000"}

    job = post(client, "propagate", direction="forward")
    assert (job["kind"], job["total"]) == ("propagate", 11)
    assert wait_for_job(client)["state"] == "finished"
    row = client.get("api/timeline").json()["objects"]["1"]
    assert row == {"touched": [0], "runs": [[1, 11, "propagated"]]}

    post(client, "export", form="coco")
    wait_for_job(client)
    (export,) = client.get("api/state").json()["exports"]
    answer = client.get(f"api/exports/{export['id']}")
    assert answer.headers["content-disposition"] == 'attachment; filename="clip_coco.json"'
    assert len(answer.content) == export["bytes"] and answer.json()["images"]

    for _ in range(3):
        assert post(client, "undo")["done"]
    assert not post(client, "undo")["done"] and client.get("api/state").json()["objects"] == []
    assert post(client, "redo")["done"]
    large = answer.content + b" " * 3_000_000  # too large to stay in memory
    answer = client.post("api/import", files={"file": ("../x.json", large)})
    assert answer.json()["kind"] == "import" and wait_for_job(client)["state"] == "finished"
    assert client.get("api/state").json()["objects"][0]["name"] == "<dog>"
    assert client.delete("api/objects/1").json()["revision"] and post(client, "clear", start=0)


def test_a_png_is_imported_for_a_frame(client: httpx.Client) -> None:
    file = io.BytesIO()
    Image.fromarray(truth(5)).save(file, "PNG")
    files = {"file": ("mask.png", file.getvalue())}
    client.post("api/import", files=files, data={"frame": "5"})
    assert wait_for_job(client)["message"] == "masks of 2 objects were imported."
    assert (read(client.get("api/masks/5.png").content)[..., 3] > 0).sum() == (truth(5) > 0).sum()
    client.post("api/import", files=files)
    assert "choose the frame" in wait_for_job(client)["message"]


def test_frames_and_masks_may_be_smaller(client: httpx.Client) -> None:
    post(client, "strokes", frame=0, object=None, strokes=[RED_CLICK])
    for path in ("frames/0.jpg", "masks/0.png"):
        assert read(client.get(f"api/{path}?rows=24").content).shape == (24, 32, 4)
        assert read(client.get(f"api/{path}?rows=99999").content).shape == (*SIZE, 4)
        for rows in ("0", "-1", "x", "1e3", "", "9" * 5000):
            assert client.get(f"api/{path}?rows={rows}").status_code == 400


def test_only_what_stays_is_kept_by_the_browser(client: httpx.Client) -> None:
    revision = post(client, "strokes", frame=0, object=None, strokes=[RED_CLICK])["revision"]
    kept = "private, max-age=31536000, immutable"
    assert client.get("api/frames/0.jpg").headers["cache-control"] == kept
    assert client.get(f"api/masks/0.png?revision={revision}").headers["cache-control"] == kept
    none = client.get(f"api/masks/5.png?revision={revision}")
    assert (none.status_code, none.headers["cache-control"]) == (204, kept)
    for query in ("", f"?revision={revision - 1}", "?revision=x"):
        assert client.get(f"api/masks/0.png{query}").headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "method, path, body, status",
    [
        ("GET", "api/frames/11.jpg", None, 404),
        ("GET", "api/frames/-1.jpg", None, 404),
        ("GET", "api/frames/1.png", None, 404),
        ("GET", f"api/frames/{'9' * 5000}.jpg", None, 404),
        ("GET", "api/masks/11.png", None, 404),
        ("GET", "api/strokes/x", None, 404),
        ("GET", "api/exports/coco", None, 404),
        ("GET", "api/exports/..%2f..%2fsession.json", None, 404),
        ("GET", "api/nothing", None, 404),
        ("GET", "docs", None, 404),
        ("GET", "openapi.json", None, 404),
        ("POST", "api/state", None, 405),
        ("POST", "api/strokes", b"{", 400),
        ("POST", "api/strokes", b'{"frame": 0, "strokes": [{"points": [[NaN, 1]]}]}', 400),
        ("POST", "api/strokes", {"frame": 99, "strokes": [RED_CLICK]}, 404),
        ("POST", "api/strokes", {"frame": 0, "object": 9, "strokes": [RED_CLICK]}, 404),
        ("POST", "api/strokes", {"frame": 0, "strokes": []}, 400),
        ("POST", "api/objects", {"name": "a\x00b"}, 400),
        ("PATCH", "api/objects/1", {"name": "x"}, 404),
        ("DELETE", "api/objects/1", None, 404),
        ("DELETE", "api/objects/x", None, 404),
        ("POST", "api/clear", {"start": 5, "end": 2}, 400),
        ("POST", "api/propagate", {"direction": "sideways"}, 400),
        ("POST", "api/propagate", {"direction": "forward"}, 400),
        ("POST", "api/resume", None, 400),
        ("POST", "api/export", {"form": "../x"}, 400),
        ("POST", "api/import", b"hello", 400),
        ("POST", "api/undo", b"x" * (1 << 20) + b"x", 413),
    ],
)
def test_errors_are_one_sentence(
    client: httpx.Client, method: str, path: str, body: Any, status: int
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode() if body else None
    answer = client.request(method, path, content=content)
    assert answer.status_code == status, answer.text
    sentence = answer.json()["error"]
    assert isinstance(sentence, str) and sentence and "\n" not in sentence
    assert client.get("api/state").json()["objects"] == []


def test_an_upload_has_one_file(client: httpx.Client) -> None:
    two = [("file", ("a", b"x")), ("file", ("b", b"x"))]
    assert client.post("api/import", files=two).status_code == 400
    assert client.post("api/import", files={"other": ("a", b"x")}).status_code == 400
    many = {f"field{k}": "x" for k in range(9)}
    assert client.post("api/import", files={"file": ("a", b"x")}, data=many).status_code == 400


def test_a_bug_is_not_shown_to_the_page(
    client: httpx.Client, annotator: Annotator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(annotator, "rows", lambda: 1 / 0)
    answer = client.get("api/timeline")
    assert (answer.status_code, answer.json()["error"]) == (
        *(500, "the server failed (ZeroDivisionError); see the terminal."),
    )
    assert answer.headers["x-content-type-options"] == "nosniff"


def events(lines: Any) -> Any:
    for line in lines:
        if line.startswith("data: "):
            yield json.loads(line[6:])


def test_every_tab_is_told_of_changes(client: httpx.Client) -> None:
    with client.stream("GET", "api/events") as one, client.stream("GET", "api/events") as other:
        assert one.headers["content-type"].startswith("text/event-stream")
        tabs = [events(each.iter_lines()) for each in (one, other)]
        assert [next(tab)["objects"] for tab in tabs] == [[], []]
        post(client, "objects", name="dog")
        for tab in tabs:
            assert next(tab)["objects"][0]["name"] == "dog"
        for _ in range(50):  # many changes are few events
            post(client, "strokes", frame=0, object=1, strokes=[GRAY_CLICK])
        revision = client.get("api/state").json()["revision"]
        count = 1
        while next(tabs[0])["revision"] < revision:
            count += 1
        assert count < 25


def test_the_server_stops_though_a_page_listens(annotator: Annotator) -> None:
    server = PageServer(annotator)
    thread = threading.Thread(target=server.serve_page)
    thread.start()
    wait_until(lambda: server.started)
    with httpx.stream("GET", f"{server.address}api/events") as answer:
        next(answer.iter_lines())
        server.stop()
        thread.join(2)
        assert not thread.is_alive()


def test_a_port_that_is_taken(annotator: Annotator) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} cannot be used"):
            PageServer(annotator, port)


def test_the_page_is_served_without_pytorch() -> None:
    """PyTorch takes seconds to import; it comes with the engine, while the page is there."""
    code = (
        "import sys, vps_d2.cli.annotate, vps_d2.web.annotator, vps_d2.web.server; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
