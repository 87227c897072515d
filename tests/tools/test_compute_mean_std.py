import numpy as np
import pytest

from tests.conftest import make_video
from tests.helpers import load_tool
from vps_d2.config import get_vps_cfg
from vps_d2.errors import UserError


def test_the_yaml_is_a_base(tiny_videos, tmp_path, capsys):
    base = tmp_path / "normalisation.yaml"
    data = [str(tiny_videos / split) for split in ("train", "val")]
    load_tool("compute_mean_std").main(["--data", *data, "--out", str(base)])
    assert "PIXEL_MEAN" in capsys.readouterr().out
    (tmp_path / "leaf.yaml").write_text("_BASE_: normalisation.yaml\nSEED: 7\nVERSION: 2\n")
    cfg = get_vps_cfg()
    cfg.merge_from_file(str(tmp_path / "leaf.yaml"))
    pixels = np.concatenate([make_video(number)[0].reshape(-1, 3) for number in range(4)])
    np.testing.assert_allclose(cfg.MODEL.PIXEL_MEAN, pixels.mean(0), atol=1e-3)
    np.testing.assert_allclose(cfg.MODEL.PIXEL_STD, pixels.std(0), atol=1e-3)
    assert cfg.SEED == 7


def test_a_folder_without_videos(tmp_path):
    with pytest.raises(UserError, match="no video"):
        load_tool("compute_mean_std").main(["--data", str(tmp_path), "--out", "x.yaml"])
