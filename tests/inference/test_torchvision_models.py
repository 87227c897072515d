"""torchvision's Mask R-CNN with random weights, and where its own weights are looked for."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vps_d2.inference import torchvision_models
from vps_d2.inference.instance_models import find_instance_model
from vps_d2.inference.torchvision_models import CocoModel, build_network
from vps_d2.io import download
from vps_d2.io.errors import UserError

NAME = "maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in which torchvision keeps its weights, and no network."""
    monkeypatch.setenv("VPS_D2_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))

    def fail(*_: object, **__: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(download, "_copy", fail)
    monkeypatch.setattr(download.urllib.request.OpenerDirector, "open", fail)
    return tmp_path / "hub" / "checkpoints"


class Fixed(torch.nn.Module):
    """Finds the same in each frame, with COCO's numbers of categories."""

    def forward(self, images: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        assert all(image.max() <= 1 for image in images)
        masks = torch.zeros(3, 1, *images[0].shape[1:])
        masks[:, :, 1:3] = torch.tensor([0.6, 0.9, 0.7]).view(3, 1, 1, 1)
        masks[1, :, 1] = 0.4
        return [
            {
                "labels": torch.tensor([18, 90, 12]),
                "scores": torch.tensor([0.7, 0.8, 0.9]),
                "masks": masks,
            }
        ] * len(images)


def test_category_numbers_become_classes() -> None:
    model = CocoModel(Fixed(), device="cpu", threshold=0.5, source="nothing")
    first, second = model(np.full((2, 4, 6, 3), 255, np.uint8))
    names = [model.taxonomy.thing_classes[number] for number in first.pred_classes]
    assert names == ["toothbrush", "dog"]  # 12 is no category
    assert first.pred_masks.flatten(1).sum(1).tolist() == [6, 12]
    assert first.scores.tolist() == second.scores.tolist() == pytest.approx([0.8, 0.7])


def test_weights_in_torchvisions_folder_are_used(hub: Path) -> None:
    hub.mkdir(parents=True)
    with torch.device("meta"):
        shapes = build_network(0.5).state_dict()
    weights = {name: torch.zeros(each.shape, dtype=torch.half) for name, each in shapes.items()}
    torch.save(weights, hub / NAME)
    model: Any = find_instance_model("coco", device="cpu", short_side=32)
    assert NAME in model.source and "terms" in model.license_note
    assert not any(value.any() for value in model.network.state_dict().values())
    (found,) = model(np.random.default_rng(0).integers(0, 256, (1, 48, 64, 3), np.uint8))
    assert found.pred_masks.shape == (0, 48, 64)
    before = model.fingerprint()
    model.threshold = 0.4
    assert model.fingerprint() != before


def test_weights_of_another_model_are_named(hub: Path) -> None:
    hub.mkdir(parents=True)
    torch.save({"weight": torch.zeros(3)}, hub / NAME)
    with pytest.raises(UserError, match=f"{NAME} has the weights of another model"):
        torchvision_models.load_coco_model()


def test_without_a_network_a_sentence_says_which_file_goes_where(hub: Path) -> None:
    with pytest.raises(UserError) as caught:
        find_instance_model("coco", device="cpu")
    text = str(caught.value)
    assert f"https://download.pytorch.org/models/{NAME} cannot be downloaded" in text
    assert text.endswith(f"put the file at {hub / NAME}.") and "Network is unreachable" in text
    assert not list(hub.iterdir())
