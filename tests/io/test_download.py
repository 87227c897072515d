import hashlib
import io
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import nn

from vps_d2.config.loading import load_config
from vps_d2.io import download
from vps_d2.io.download import allow_address, cache_folder, fetch_weights, may_fetch
from vps_d2.io.errors import UserError
from vps_d2.modeling.checkpoint import SafeCheckpointer


def checkpoint() -> bytes:
    file = io.BytesIO()
    torch.save({"model": {"weight": torch.full((3, 2), 7.0), "bias": torch.zeros(3)}}, file)
    return file.getvalue()


class Answers(BaseHTTPRequestHandler):
    """Answers as the path says."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        content = checkpoint()
        name = self.path.rpartition("/")[2].partition("?")[0]
        if name == "lost.pth":
            self.send_error(404)
            return
        if name == "elsewhere.pth":
            self.send_response(302)
            self.send_header("Location", f"http://{self.headers['Host']}/good.pth")
            self.end_headers()
            return
        self.send_response(200)
        if name == "page.pth":
            content = b"<html>log in first</html>"
        if name == "zipped.pth":
            self.send_header("Content-Encoding", "gzip")
        size = {"short.pth": len(content) + 9, "huge.pth": 10**12}.get(name, len(content))
        if name != "silent.pth":
            self.send_header("Content-Length", str(size))
        self.end_headers()
        self.wfile.write(content * (40 if name == "silent.pth" else 1))

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that 127.0.0.1 signed for itself, with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("OpenSSL makes the certificate")
    path = tmp_path_factory.mktemp("certificate") / "server.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(path), "-out", str(path.with_suffix(".crt"))]
    subprocess.run(command, check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + path.with_suffix(".crt").read_bytes())
    return path


@pytest.fixture
def server(
    certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, ssl.SSLContext]]:
    """The address of a server of this machine, and what trusts it."""
    monkeypatch.setenv("VPS_D2_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    Answers.asked.clear()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    served = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    served.socket = context.wrap_socket(served.socket, server_side=True)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    trust = ssl.create_default_context(cafile=str(certificate.with_suffix(".crt")))
    yield f"https://127.0.0.1:{served.server_port}", trust
    served.shutdown()
    served.server_close()


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_weights_come_into_the_cache_once(
    server: tuple[str, ssl.SSLContext], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, trust = server
    monkeypatch.setattr(ssl, "create_default_context", lambda: trust)
    address = f"{host}/../..//%2e%2e/../good.pth?of=me"
    load_config("", ["MODEL.WEIGHTS", address])  # as on the command line
    net = nn.Linear(2, 3)
    for _ in range(2):
        SafeCheckpointer(net, strict=True).load(address)
        assert (net.weight == 7).all()
    assert len(Answers.asked) == 1
    name = hashlib.sha256(address.encode()).hexdigest()
    assert files(tmp_path) == [f"{name}.pth", "lock"]


@pytest.mark.parametrize(
    "name, words",
    [
        ("lost.pth", r"lost.pth cannot be downloaded \(Not Found\)"),
        ("elsewhere.pth", r"cannot be downloaded \(unknown url type: http\)"),
        ("page.pth", "does not send a checkpoint; check the URL"),
        ("zipped.pth", "the response is compressed"),
        ("short.pth", "the connection ended after"),
        ("huge.pth", "more than 10,000 bytes"),
        ("silent.pth", "more than 10,000 bytes"),
        ("good.pth\r\nX: y", "cannot be downloaded"),
    ],
)
def test_what_is_not_as_it_should_be_leaves_no_file(
    name: str, words: str, server: tuple[str, ssl.SSLContext], tmp_path: Path
) -> None:
    address = f"{server[0]}/{name}"
    allow_address(address)
    with pytest.raises(UserError, match=words):
        fetch_weights(address, context=server[1], max_bytes=10_000)
    assert files(tmp_path) == ["lock"]


def test_a_server_that_nobody_certifies_is_not_trusted(
    server: tuple[str, ssl.SSLContext],
) -> None:
    allow_address(f"{server[0]}/good.pth")
    with pytest.raises(UserError, match="CERTIFICATE_VERIFY_FAILED"):
        fetch_weights(f"{server[0]}/good.pth")
    assert not Answers.asked


def test_a_slow_server_is_given_up(
    server: tuple[str, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_PACE_SECONDS", 0)
    allow_address(f"{server[0]}/good.pth")
    with pytest.raises(UserError, match="the server is too slow"):
        fetch_weights(f"{server[0]}/good.pth", context=server[1])


def test_a_file_that_the_project_knows_is_checked(
    server: tuple[str, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    known, other = f"{server[0]}/known.pth", f"{server[0]}/other.pth"
    digest = hashlib.sha256(checkpoint()).hexdigest()
    monkeypatch.setattr(download, "_KNOWN", {known: digest, other: "0" * 64})
    assert Path(fetch_weights(known, context=server[1])).read_bytes() == checkpoint()
    with pytest.raises(UserError, match="are not the ones that the project knows"):
        fetch_weights(other, context=server[1])
    assert len(files(tmp_path)) == 2


@pytest.mark.parametrize("scheme", ["http", "ftp", "file", "HTTP", "s3", "a b", "https://[x"])
def test_other_schemes_are_a_sentence(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"{scheme}://127.0.0.1/a.pth"
    allow_address(address)
    with pytest.raises(UserError, match="only URLs that begin with https://"):
        SafeCheckpointer(nn.Linear(2, 3)).load(address)


def test_an_address_in_a_file_is_not_fetched(tmp_path: Path) -> None:
    address = "https://example.org/of_a_file.pth"
    config = tmp_path / "config.yaml"
    config.write_text(f"MODEL: {{WEIGHTS: '{address}'}}\n")
    cfg = load_config(config)
    assert address == cfg.MODEL.WEIGHTS
    with pytest.raises(UserError, match="are named by a configuration file"):
        SafeCheckpointer(nn.Linear(2, 3)).load(address)
    load_config(config, ["MODEL.WEIGHTS", f"{address}?other"])
    assert may_fetch(f"{address}?other") and not may_fetch(address)


def test_the_model_zoo_is_where_detectron2_publishes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    address = "detectron2://COCO/x/model.pkl"
    assert not may_fetch(address)
    monkeypatch.setattr(
        download, "_KNOWN", {"https://dl.fbaipublicfiles.com/detectron2/COCO/x/model.pkl": ""}
    )
    assert may_fetch(address)


def test_the_cache_is_the_systems(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("VPS_D2_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert cache_folder() == tmp_path / "vps_d2"


def test_a_file_that_others_keep_too_comes_to_its_place(
    server: tuple[str, ssl.SSLContext], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "hub" / "weights.pth"
    known = f"{server[0]}/good.pth"
    monkeypatch.setitem(download._KNOWN, known, hashlib.sha256(checkpoint()).hexdigest()[:8])
    for _ in range(2):
        assert fetch_weights(known, path=place, context=server[1]) == str(place)
    assert len(Answers.asked) == 1 and place.read_bytes() == checkpoint()
    lost = f"{server[0]}/lost.pth"
    allow_address(lost)
    other = place.with_name("other.pth")
    with pytest.raises(UserError, match=f"put the file at {other}"):
        fetch_weights(lost, path=other, context=server[1])
    monkeypatch.setitem(download._KNOWN, known, "0" * 8)
    with pytest.raises(UserError, match="not the ones that the project knows"):
        fetch_weights(known, path=other, context=server[1])
    assert files(place.parent) == ["weights.pth"]
