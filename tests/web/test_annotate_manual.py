"""The page docs/annotate.md: its keys, its commands, and the way from a clip to a trained model."""

import json
import re
import shlex
import zipfile
from pathlib import Path

import pytest

from tests.helpers import ROOT, forget_pets, load_tool
from tests.inference.vos.stub import ColorEngine, truth, write_clip
from tests.test_label_page import SHORT
from vps_d2.cli import annotate

PAGE = (ROOT / "docs/annotate.md").read_text(encoding="utf-8")
STATIC = ROOT / "vps_d2/web/static"
FILE = re.compile(r"```(?:python|yaml)\n# (pets/\S+)\n(.*?)```", re.DOTALL)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_it_lists_every_key_of_the_page() -> None:
    text = (STATIC / "commands.js").read_text(encoding="utf-8")
    lists = re.findall(r'\[(?:"[^"]+"(?:, )?)+\]', text)
    keys = [key for each in lists for key in json.loads(each)]
    keys += re.findall(r'tool\("\w+", "[^"]+", "(.)"\)', text)
    assert len(keys) > 50 and len(keys) == len(set(keys))
    assert [key for key in keys if f"`{key}`" not in PAGE] == []


def test_it_lists_every_form_of_an_export() -> None:
    text = (STATIC / "files.js").read_text(encoding="utf-8")
    names = re.findall(r'form: "\w+",\s+name: "([^"]+)"', text)
    assert len(names) == 6 and [name for name in names if f"| {name} |" not in PAGE] == []


def test_its_files_are_all_there_and_none_loads_anything_from_elsewhere() -> None:
    html = (STATIC / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"\son\w+=|\sstyle=|<script(?! type=\"module\" src)", html)
    named = set(re.findall(r'(?:src|href)="static/([^"]+)"', html))
    for path in STATIC.glob("*.js"):
        text = path.read_text(encoding="utf-8")
        named |= set(re.findall(r'from "\./([^"]+)"', text))
        assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|\beval\(|alert\(", text)
    assert named == {path.name for path in STATIC.iterdir()} - {"index.html"}
    for path in STATIC.iterdir():
        addresses = re.findall(r"https?://[^\s\"')]+", path.read_text(encoding="utf-8"))
        assert set(addresses) <= {"http://www.w3.org/2000/svg"}


def test_the_way_from_a_clip_to_a_trained_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vps_d2.inference.vos.session import VOSSession
    from vps_d2.io.video import open_video
    from vps_d2.web.jobs import Job
    from vps_d2.web.transfer import Exports

    monkeypatch.chdir(tmp_path)
    forget_pets()
    for name in ("clip", "other"):
        write_clip(tmp_path / f"{name}.mp4", 8)
    with VOSSession(open_video("clip.mp4"), "session", ColorEngine()) as session:
        session.add_mask(4, truth(4))
        for number, name in enumerate(("dog", "ball"), 1):
            session.add_object(name, number)
        assert len(list(session.propagate("both"))) >= 8
        exports = Exports(session.folder)
        exports.write(session, "dataset", Job(1, "export"))
        (listed,) = exports.list(session.source.name)
    for path, text in FILE.findall(PAGE):
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_text(text)
    lines = "".join(blocks("bash")).replace("\\\n", " ").splitlines()
    for words in map(shlex.split, lines):
        if words[0] == "unzip":
            assert words == ["unzip", listed["name"], "-d", "datasets"]
            zipfile.ZipFile(exports.path("dataset")).extractall("datasets")
        elif words[:2] == ["vps-d2", "annotate"]:
            annotate.parse_args(words[2:])
        elif words[0] == "vps-d2":
            extra = SHORT.get(words[1], "").split()
            load_tool(words[1].replace("-", "_")).main([*words[2:], *extra])
    assert json.loads(Path("output/segmented/other/segmentation.json").read_text())["complete"]
