"""``vps-d2 make-vos-clips``: the layout, resuming, and what it refuses."""

import cv2
import numpy as np
import pytest

from tests.helpers import load_tool
from vps_d2.d2.data import DatasetCatalog, MetadataCatalog
from vps_d2.data.datasets import load_records
from vps_d2.data.vos.clips import visible
from vps_d2.data.vos.datasets import register_davis
from vps_d2.data.vos.maps import read_dataset_map
from vps_d2.io.errors import UserError

SIZE = ["--height", "48", "--width", "64", "--frames", "3", "--objects", "1", "2"]


def make(out, *arguments):
    load_tool("make_vos_clips").main(["--out", str(out), *SIZE, *arguments])


def contents(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("clips") / "data"
    make(root, "--videos", "2", "--workers", "1")
    return root


def test_the_folder_is_a_data_set_in_the_layout_of_davis(data):
    register_davis("made_clips", data)
    try:
        records = load_records("made_clips")
    finally:
        DatasetCatalog.remove("made_clips")
        MetadataCatalog.remove("made_clips")
    assert [record["video_name"] for record in records] == ["clip_00000", "clip_00001"]
    for record in records:
        assert record["num_frames"] == 3
        frame = cv2.imread(record["file_names"][2])
        object_map = read_dataset_map(record["object_map_file_names"][0], frame.shape[:2])
        assert frame.shape == (48, 64, 3)
        assert visible(object_map)
        assert object_map.max() <= 2
    assert cv2.imread(str(data / "sheet.jpg")).shape[1] == 5 * 240


def test_an_interrupted_run_goes_on_and_gives_the_same_files(data, tmp_path):
    make(tmp_path, "--videos", "1", "--workers", "1")
    first = tmp_path / "Annotations" / "clip_00000" / "00000.png"
    before = first.stat().st_mtime_ns
    (tmp_path / "JPEGImages" / ".vps_d2-clip_00001-0123456789abcdef.tmp").mkdir()
    make(tmp_path, "--videos", "2")
    assert first.stat().st_mtime_ns == before
    assert contents(tmp_path) == contents(data)
    assert [path.name for path in (tmp_path / "JPEGImages").iterdir() if path.name[0] == "."] == []


def test_other_settings_and_foreign_folders_are_refused(data, tmp_path):
    with pytest.raises(UserError, match="another seed"):
        make(data, "--videos", "2", "--seed", "1")
    (tmp_path / "JPEGImages").mkdir()
    with pytest.raises(UserError, match=r"already exists, without a vos_clips\.json"):
        make(tmp_path)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    cv2.imwrite(str(pictures / "a.png"), np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(UserError, match="another pictures"):
        make(data, "--videos", "2", "--pictures", str(pictures))
    with pytest.raises(UserError, match="no PNG cut-out in it"):
        make(tmp_path / "new", "--cutouts", str(tmp_path / "JPEGImages"))


@pytest.mark.parametrize(
    "wrong",
    [["--objects", "3", "2"], ["--objects", "1", "99"], ["--height", "9"], ["--height", "9999"]],
)
def test_wrong_numbers_are_refused(tmp_path, wrong, capsys):
    with pytest.raises(SystemExit):
        make(tmp_path, *wrong)
    assert wrong[0] in capsys.readouterr().err
