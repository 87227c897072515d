"""Files that are uploaded, whoever made them, and exports."""

import io
import json
import stat
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.inference.vos.stub import SIZE, truth
from tests.web.stub import opened
from vps_d2.io.errors import UserError
from vps_d2.web import transfer
from vps_d2.web.annotator import Annotator
from vps_d2.web.jobs import CancelledError, Job
from vps_d2.web.transfer import Upload, import_upload


def png(object_map: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(object_map).save(file, "PNG")
    return file.getvalue()


def packed(files: dict[str, bytes], **options: Any) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


def take_in(annotator: Annotator, data: bytes, frame: int | None = None) -> list[int]:
    return import_upload(Upload(io.BytesIO(data), frame), annotator.session, Job(1, "import"))


def names(annotator: Annotator) -> list[str]:
    return sorted(path.name for path in annotator.session.folder.iterdir())


@pytest.mark.parametrize("form", ["palette", "binary", "coco", "ytvis"])
def test_an_export_comes_back(annotator: Annotator, clip: Path, tmp_path: Path, form: str) -> None:
    session = annotator.session
    session.add_mask(4, truth(4))
    session.add_mask(9, truth(9))
    session.add_object("dog", 1)
    job = Job(1, "export")
    assert annotator.exports.write(session, form, job) == ""
    assert (job.done, job.total, job.frame) == (2, 2, 9)
    assert names(annotator) == [".vps_d2.lock", "actions.jsonl", "exports", "masks", "session.json"]
    data = annotator.exports.path(form).read_bytes()
    with opened(clip, tmp_path / "other") as other:
        assert take_in(other, data) == [1, 2]
        for index in (4, 9):
            assert (other.session.object_map(index) == truth(index)).all()
        assert other.session.objects[1] == ("object" if form in ("palette", "binary") else "dog")
        assert "masks.json" not in names(other)


def test_a_png_is_the_mask_of_the_frame_that_is_named(annotator: Annotator) -> None:
    assert take_in(annotator, png(truth(5)), 5) == [1, 2]
    assert (annotator.session.object_map(5) == truth(5)).all()
    with pytest.raises(UserError, match="choose the frame"):
        take_in(annotator, png(truth(5)))
    with pytest.raises(UserError, match="mask has 10 x 10 pixels, but the video"):
        take_in(annotator, png(np.ones((10, 10), np.uint8)), 0)


@pytest.mark.parametrize("inside", ["", "clip/", "a/b/", "out/clip/masks/", "__MACOSX/x.png"])
def test_masks_may_lie_in_folders(annotator: Annotator, inside: str) -> None:
    files = {"readme.txt": b"hello", ".DS_Store": b"", "__MACOSX/._000003.png": b"x"}
    folder = "" if inside.startswith("__") else inside
    files[f"{folder}000003.png"] = png(truth(3))
    assert take_in(annotator, packed(files)) == [1, 2]
    assert (annotator.session.object_map(3) == truth(3)).all()


@pytest.mark.parametrize(
    "name",
    [
        "../000000.png",
        "a/../../000000.png",
        "/tmp/000000.png",
        "C:/000000.png",
        "..\\000000.png",
        "a\n/0.png",
    ],
)
def test_no_name_leads_out_of_the_folder(annotator: Annotator, tmp_path: Path, name: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match="a name that leads elsewhere"):
        take_in(annotator, packed({"000001.png": png(truth(1)), name: png(truth(0))}))
    assert sorted(tmp_path.rglob("*")) == before and not annotator.session.given


def test_links_in_a_zip_are_refused(annotator: Annotator) -> None:
    member = zipfile.ZipInfo("000000.png")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(member, "/etc/passwd")
    with pytest.raises(UserError, match="the zip has a link"):
        take_in(annotator, file.getvalue())


def test_a_small_zip_of_many_bytes_is_refused(
    annotator: Annotator, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = packed({"000000.png": bytes(1 << 25)}, compression=zipfile.ZIP_DEFLATED)
    assert len(bomb) < 1 << 16
    with pytest.raises(UserError, match=r"000000\.png in the zip has more than"):
        take_in(annotator, bomb)
    monkeypatch.setattr(transfer, "MAX_UNPACKED", 3000)
    files = {f"{index:06d}.png": bytes(1000) for index in range(9)}
    with pytest.raises(UserError, match=r"000003\.png in the zip has more than 0 bytes"):
        take_in(annotator, packed(files))
    assert not annotator.session.given and names(annotator)[-1] == "session.json"


def test_the_list_of_a_zip_has_a_bound(
    annotator: Annotator, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = packed({"000000.png": png(truth(0)), "000001.png": png(truth(1))})
    monkeypatch.setattr(transfer, "_MAX_DIRECTORY", 50)
    with pytest.raises(UserError, match="too many files"):
        take_in(annotator, data)
    # The same by the record that large zips have.
    end, place = data[-22:], struct.unpack("<I", data[-6:-2])[0]
    record = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 2, 2, 1 << 40, place)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, len(data) - 22, 1)
    small = end[:12] + struct.pack("<I", 10) + end[16:]
    with pytest.raises(UserError, match="too many files"):
        take_in(annotator, data[:-22] + record + locator + small)


def test_two_files_of_one_name_are_refused(annotator: Annotator) -> None:
    files = {"a/000000.png": png(truth(0)), "a//000000.png": png(truth(1))}
    with pytest.raises(UserError, match="two files of one name"):
        take_in(annotator, packed(files))


@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "is not a JSON file"),
        (b"hello", "masks.json is not a JSON file"),
        (b"[1]", "has neither images, as COCO has"),
        (b"\x89PNG", "mask.png: unreadable mask"),
        (b"PK\3\4 cut off", "the zip is not complete"),
        (packed({}), "holds no masks"),
        (packed({"000000.png": b"x"}), r"000000\.png: unreadable mask"),
        (packed({"300/000000.png": png(truth(0))}), "the file holds no masks"),
    ],
    ids=range(8),
)
def test_what_is_no_mask_is_refused_in_a_sentence(
    annotator: Annotator, data: bytes, message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        take_in(annotator, data, 0)
    assert ".vps_d2-" not in str(caught.value) and not annotator.session.given


def test_a_json_file_has_a_bound(annotator: Annotator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "_MAX_JSON", 1000)
    with pytest.raises(UserError, match="the file has more than 1,000 bytes"):
        take_in(annotator, json.dumps({"images": ["x" * 1000]}).encode())


def test_a_cancelled_export_leaves_nothing(annotator: Annotator) -> None:
    annotator.session.add_mask(0, truth(0))
    job = Job(1, "export")
    job.cancelled.set()
    for form in annotator.exports.forms:
        with pytest.raises(CancelledError):
            annotator.exports.write(annotator.session, form, job)
    assert not list((annotator.session.folder / "exports").iterdir())
    assert annotator.exports.list("clip") == []


def test_a_cancelled_import_gives_nothing(annotator: Annotator) -> None:
    job = Job(1, "import")
    job.cancelled.set()
    with pytest.raises(CancelledError):
        import_upload(
            Upload(io.BytesIO(packed({"000000.png": png(truth(0))}))), annotator.session, job
        )
    assert not annotator.session.given


def test_an_export_does_not_see_what_is_done_meanwhile(annotator: Annotator) -> None:
    session = annotator.session
    session.add_mask(0, truth(0))
    session.add_mask(9, truth(9))

    class Meddling(Job):
        def step(self, frame: int) -> None:
            super().step(frame)
            session.add_mask(9, np.zeros(SIZE, bool), 1)
            session.add_mask(9, np.ones(SIZE, bool), 3)

    annotator.exports.write(session, "coco", Meddling(1, "export"))
    content = json.loads(annotator.exports.path("coco").read_bytes())
    assert [each["track_id"] for each in content["annotations"]] == [1, 1]
    assert (session.object_map(9) == 3).all()


def test_names_of_downloads_are_plain(annotator: Annotator) -> None:
    assert annotator.exports.name("coco", '../"a b\n') == "a_b_coco.json"
    assert annotator.exports.name("palette", "...") == "video_palette.zip"
    assert annotator.exports.name("palette", "12") == "video_12_palette.zip"  # not object 12
