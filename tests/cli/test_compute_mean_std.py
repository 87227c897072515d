import numpy as np
import pytest

from tests.conftest import make_video
from tests.helpers import ROOT, load_tool
from vps_d2.config.defaults import get_vps_cfg
from vps_d2.data.statistics import check_mean_std_file
from vps_d2.io.errors import UserError


def test_the_yaml_is_a_base(tiny_videos, tmp_path, capsys):
    base = tmp_path / "normalization.yaml"
    data = [str(tiny_videos / split) for split in ("train", "val")]
    load_tool("compute_mean_std").main(["--data", *data, "--out", str(base)])
    assert "PIXEL_MEAN" in capsys.readouterr().out
    (tmp_path / "leaf.yaml").write_text("_BASE_: normalization.yaml\nSEED: 7\nVERSION: 2\n")
    cfg = get_vps_cfg()
    cfg.merge_from_file(str(tmp_path / "leaf.yaml"))
    pixels = np.concatenate([make_video(number)[0].reshape(-1, 3) for number in range(4)])
    np.testing.assert_allclose(cfg.MODEL.PIXEL_MEAN, pixels.mean(0), atol=1e-3)
    np.testing.assert_allclose(cfg.MODEL.PIXEL_STD, pixels.std(0), atol=1e-3)
    assert cfg.SEED == 7


def test_a_folder_without_videos(tmp_path):
    with pytest.raises(UserError, match="no video"):
        load_tool("compute_mean_std").main(["--data", str(tmp_path), "--out", "x.yaml"])


def test_videos_without_frames(tmp_path):
    (tmp_path / "data" / "video_0").mkdir(parents=True)
    out = tmp_path / "out.yaml"
    with pytest.raises(UserError, match=r"data have no image_<n>\.png"):
        load_tool("compute_mean_std").main(["--data", str(tmp_path / "data"), "--out", str(out)])
    assert not out.exists()


@pytest.mark.parametrize(
    "content",
    [
        "MODEL:\n  PIXEL_MEAN: [1]\n  PIXEL_STD: [1]\nSEED: 7\n",
        *("[1]", "a: [", "text", "[" * 5000, "a: 2001-99-99", "# more than is read\n" * 1000),
    ],
)
def test_another_config_is_not_overwritten(tiny_videos, tmp_path, content):
    out = tmp_path / "out.yaml"
    out.write_text(content)
    with pytest.raises(UserError, match="choose another"):
        load_tool("compute_mean_std").main(["--data", str(tiny_videos / "val"), "--out", str(out)])
    assert out.read_text() == content


def test_its_own_file_is_overwritten(tiny_videos, tmp_path):
    out = tmp_path / "out.yaml"
    for split in ("train", "val"):
        load_tool("compute_mean_std").main(["--data", str(tiny_videos / split), "--out", str(out)])
        assert f"Pixels of {split}" in out.read_text()
    out.write_text((ROOT / "configs" / "_base_" / "normalization.yaml").read_text())
    check_mean_std_file(out)


def test_the_name_of_a_folder_adds_no_keys(tiny_videos, tmp_path):
    data = tmp_path / "train\nSEED: 7"
    data.symlink_to(tiny_videos / "train")
    out = tmp_path / "out.yaml"
    load_tool("compute_mean_std").main(["--data", str(data), "--out", str(out)])
    check_mean_std_file(out)
    assert out.read_text().startswith(r"# Pixels of train\nSEED: 7: R, G, B")
