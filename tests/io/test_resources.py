"""Names of shipped files, and shipped configurations where a folder has none."""

from pathlib import Path

import pytest

from tests.helpers import ROOT
from vps_d2.io import resources
from vps_d2.io.resources import config_path, local_path


def test_names_of_shipped_files() -> None:
    weights = ROOT / "vps_d2" / "weights" / "unet.pth"
    assert Path(local_path("package://unet.pth")) == weights and weights.is_file()
    assert Path(local_path("package://configs/demo.yaml")) == ROOT / "configs" / "demo.yaml"
    assert Path(config_path("package://configs/pipeline")) == ROOT / "configs" / "pipeline"
    for path in ("", "unet.pth", "/a/b.pth", "https://example.org/unet.pth"):
        assert local_path(path) == config_path(path) == path


def test_configs_of_the_folder_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = ROOT / "configs" / "demo.yaml"
    assert Path(config_path("configs/demo.yaml")) == shipped
    assert Path(config_path(Path("configs", "demo.yaml"))) == shipped
    assert Path(config_path("configs")) == shipped.parent
    for path in ("demo.yaml", "configs/absent.yaml", "other/configs/demo.yaml"):
        assert config_path(path) == str(Path(path))
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "demo.yaml").touch()
    assert Path(config_path("configs/demo.yaml")).resolve() == tmp_path / "configs" / "demo.yaml"
    assert Path(config_path("configs/unet/unet_frames.yaml")).is_file()


def test_paths_of_another_folder(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").touch()
    assert config_path("../a.yaml", tmp_path / "x") == str(tmp_path / "a.yaml")
    assert config_path("configs/demo.yaml", tmp_path) == str(ROOT / "configs" / "demo.yaml")
    assert config_path("", tmp_path) == ""
    assert config_path("package://configs/demo.yaml", tmp_path) == str(ROOT / "configs/demo.yaml")


def test_an_installed_package_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path)
    (tmp_path / "configs").mkdir()
    assert Path(local_path("package://configs/demo.yaml")) == tmp_path / "configs" / "demo.yaml"


def test_a_name_that_is_too_long_does_not_exist() -> None:
    assert config_path("y" * 5000, "/") == f"/{'y' * 5000}"
