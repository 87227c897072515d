"""Tar files of folders: the same bytes, and one sentence for those that are damaged."""

import io
import tarfile
from pathlib import Path

import pytest

from vps_d2.io.errors import UserError
from vps_d2.io.tars import list_tars, pack_folder, repacked, unpacked


@pytest.fixture
def tar(tmp_path: Path) -> Path:
    (tmp_path / "in" / "video_1").mkdir(parents=True)
    (tmp_path / "in" / "video_1" / "image_0.png").write_bytes(b"0" * 700)
    (tmp_path / "in" / "video_1" / "link.png").symlink_to("image_0.png")
    pack_folder(tmp_path / "in", tmp_path / "a.tar")
    return tmp_path / "a.tar"


def test_links_are_followed_and_the_bytes_are_the_same(tar: Path, tmp_path: Path) -> None:
    with repacked(tar, tmp_path / "b.tar") as (folder, results):
        assert folder.name == "a"
        assert not (folder / "video_1" / "link.png").is_symlink()
        assert (folder / "video_1" / "link.png").read_bytes() == b"0" * 700
        (folder / "video_1").rename(results / "video_1")
    assert (tmp_path / "b.tar").read_bytes() == tar.read_bytes()
    assert not folder.exists() and not results.exists()
    assert list_tars(tmp_path) == [tar, tmp_path / "b.tar"] and list_tars(tar) == [tar]
    assert list_tars(tmp_path / "in") == []


@pytest.mark.parametrize("size", [0, 100, 512, 700, 1024, 2048, 3000])
def test_a_file_that_is_cut_off_is_a_sentence(size: int, tar: Path) -> None:
    tar.write_bytes(tar.read_bytes()[:size])
    with (
        pytest.raises(UserError, match=r"a\.tar is damaged or cut off \(.*; fetch or pack"),
        unpacked(tar),
    ):
        pytest.fail("it was unpacked")


@pytest.mark.parametrize("name, kind", [("../out", tarfile.REGTYPE), ("dev", tarfile.CHRTYPE)])
def test_members_that_are_not_unpacked(name: str, kind: bytes, tmp_path: Path) -> None:
    member = tarfile.TarInfo(name)
    member.type = kind
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        tar.addfile(member, io.BytesIO())
    with (
        pytest.raises(UserError, match=r"bad\.tar has a member that is not unpacked"),
        unpacked(tmp_path / "bad.tar"),
    ):
        pytest.fail("it was unpacked")


def test_errors_about_the_folder_name_the_file(tar: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match=r"a\.tar/video_1 is faulty\."),
        repacked(tar, tmp_path / "b.tar") as (folder, _),
    ):
        raise UserError(f"{folder}/video_1 is faulty.")
    assert not (tmp_path / "b.tar").exists()
