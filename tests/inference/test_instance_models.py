"""The models of one interface that have a Detectron2 configuration, and how a user names them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers import ROOT
from tests.inference.zoo import CONFIG, OPTS, make_frames, write_zoo_checkpoint
from vps_d2.config.loading import load_config
from vps_d2.d2.config import CfgNode
from vps_d2.d2.modeling import META_ARCH_REGISTRY
from vps_d2.d2.structures import Instances
from vps_d2.data.coco import COCO_CATEGORY_IDS, COCO_TAXONOMY, class_of_category
from vps_d2.data.synthetic import generate_video
from vps_d2.inference.detectron_models import split_classes
from vps_d2.inference.instance_models import InstanceModel, find_instance_model, make_instances
from vps_d2.inference.segmentation import FrameForm
from vps_d2.io.errors import UserError
from vps_d2.modeling.architecture import Architecture
from vps_d2.modeling.build import build_model

# What Detectron2's own DefaultPredictor finds with these weights in these frames: the number of
# detections, and of the first eight their scores, classes and areas in pixels.
FOUND = [
    (
        74,
        [0.86022, 0.8172, 0.79188, 0.74494, 0.69315, 0.67516, 0.67481, 0.66985],
        [74] * 8,
        [16, 5, 1, 1, 7, 4, 3, 2],
    ),
    (
        79,
        [0.86634, 0.65075, 0.63456, 0.63246, 0.6157, 0.60219, 0.59684, 0.59553],
        [74, 74, 74, 74, 74, 78, 74, 74],
        [19, 4, 7, 6, 1, 438, 2, 1],
    ),
]


@pytest.fixture(scope="module")
def zoo_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_zoo_checkpoint(tmp_path_factory.mktemp("zoo") / "model_final.pkl"))


def load_zoo(checkpoint: str, *opts: str, **keywords: Any) -> InstanceModel:
    return find_instance_model(
        None, CONFIG, checkpoint, [*OPTS, *opts], device="cpu", **{"threshold": 0.05, **keywords}
    )


def test_a_checkpoint_of_the_zoo_finds_what_it_finds_in_detectron2(zoo_checkpoint: str) -> None:
    model = load_zoo(zoo_checkpoint)
    results = model(make_frames())
    for found, (count, scores, classes, areas) in zip(results, FOUND, strict=True):
        assert len(found) == count and found.image_size == (60, 100)
        assert found.scores[:8].tolist() == pytest.approx(scores, abs=2e-5)
        assert found.pred_classes[:8].tolist() == classes
        assert found.pred_masks.dtype == torch.bool
        assert found.pred_masks[:8].flatten(1).sum(1).tolist() == areas
    assert model.taxonomy is COCO_TAXONOMY and not model.license_note
    few = load_zoo(zoo_checkpoint, threshold=0.6)
    (found,) = few(make_frames(1))
    assert len(found) == int((results[0].scores >= 0.6).sum())
    assert few.fingerprint() != model.fingerprint()


def test_colors_and_size_of_the_input_count(zoo_checkpoint: str, tmp_path: Path) -> None:
    frames = make_frames(1)
    (as_trained,) = load_zoo(zoo_checkpoint)(frames)
    config = tmp_path / "rgb.yaml"
    config.write_text(f"_BASE_: {ROOT / CONFIG}\nINPUT:\n  FORMAT: RGB\n")
    rgb = find_instance_model(None, config, zoo_checkpoint, OPTS, device="cpu", threshold=0.05)
    (swapped,) = rgb(frames[..., ::-1])
    assert torch.equal(as_trained.scores, swapped.scores)
    (small,) = load_zoo(zoo_checkpoint, short_side=48)(frames)
    assert small.image_size == (60, 100) and small.pred_masks.shape[1:] == (60, 100)
    assert len(small) != len(as_trained) or not torch.equal(small.scores, as_trained.scores)


@pytest.mark.parametrize(
    "height, width, expected",
    [(480, 640, (800, 1067)), (1080, 1920, (750, 1333)), (640, 480, (1067, 800))],
)
def test_frames_are_scaled_as_detectron2_does(
    height: int, width: int, expected: tuple[int, int]
) -> None:
    form = FrameForm(800, 1333)
    assert form.size(height, width) == expected
    assert form.apply(np.zeros((1, height, width, 3), np.uint8)).shape == (1, *expected, 3)
    assert FrameForm(0, 0).size(height, width) == (height, width)


def test_the_shipped_model_finds_the_objects_of_a_generated_video() -> None:
    video = generate_video(5)
    model = find_instance_model("vps", device="cpu")
    (found,) = model(video.frames[:1])
    assert model.taxonomy.num_classes == 49 and model.taxonomy.one_object_per_class
    assert set((found.pred_classes + 1).tolist()) == set(np.unique(video.masks[0])) - {0}
    assert (found.scores.diff() <= 0).all() and found.scores.dtype == torch.float32


def test_class_maps_become_instances() -> None:
    probabilities = np.full((3, 6, 8), 0.1, np.float32)
    probabilities[0] = 0.5
    probabilities[1, :2, :2] = 0.8
    probabilities[1, 4:, 5:] = 0.6
    probabilities[2, 0, 4:6] = 0.9
    masks, classes, scores = split_classes(probabilities, False, 10)
    assert masks.flatten(1).sum(1).tolist() == [6, 4, 2] and classes.tolist() == [0, 0, 1]
    assert scores.tolist() == pytest.approx([0.6, 0.8, 0.9])
    masks, classes, scores = split_classes(probabilities, True, 10)
    assert masks.flatten(1).sum(1).tolist() == [10, 2] and classes.tolist() == [0, 1]
    assert scores.tolist() == pytest.approx([0.68, 0.9])
    assert split_classes(probabilities, False, 1)[0].shape == (1, 6, 8)
    nothing = split_classes(np.eye(3, dtype=np.float32)[:, :1, None], False, 10)
    assert nothing[0].shape == (0, 1, 1) and nothing[1].dtype == torch.int64


def test_a_model_of_class_maps_takes_frames_as_they_are_unless_told() -> None:
    model = find_instance_model(
        None, "configs/unet/unet_frames.yaml", "package://unet.pth", device="cpu"
    )
    frames = np.full((1, 40, 64, 3), 128, np.uint8)
    (found,) = model(frames)
    assert found.pred_masks.shape[1:] == (40, 64) and len(found) == len(found.scores)
    smaller = find_instance_model(
        None, "configs/unet/unet_frames.yaml", "package://unet.pth", device="cpu", short_side=32
    )
    assert smaller(frames)[0].pred_masks.shape[1:] == (40, 64)


@META_ARCH_REGISTRY.register()
class ClipEcho(Architecture):
    """Finds one object in each frame of a clip, as bright as the frame is."""

    task = "video_instances"

    def __init__(self, cfg: CfgNode) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))

    def compute_losses(self, batched_inputs: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        raise NotImplementedError

    def infer(self, batched_inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        (clip,) = batched_inputs
        size = clip["height"], clip["width"]
        return [
            {
                "instances": [
                    Instances(
                        size,
                        pred_masks=torch.ones(1, *size, dtype=torch.bool),
                        pred_classes=torch.tensor([2]),
                        scores=image.float().mean().view(1) / 255 * self.scale,
                        track_ids=torch.tensor([7]),
                        embeddings=torch.full((1, 4), float(index)),
                    )
                    for index, image in zip(clip["frame_indices"], clip["images"], strict=True)
                ]
            }
        ]


def test_a_model_of_clips_gets_a_batch_as_one_clip(tmp_path: Path) -> None:
    config, weights = tmp_path / "clip.yaml", tmp_path / "clip.pth"
    config.write_text(
        "MODEL:\n  META_ARCHITECTURE: ClipEcho\nTAXONOMY:\n  CLASSES: [a, b, c]\nVERSION: 2\n"
    )
    torch.save({"model": {"scale": torch.ones(1)}}, weights)
    model = find_instance_model(None, config, str(weights), device="cpu")
    frames = np.stack([np.full((4, 6, 3), value, np.uint8) for value in (255, 204, 51)])
    first, second, third = model(frames)
    assert first.scores.tolist() == [1.0] and second.scores.item() == pytest.approx(0.8)
    assert len(third) == 0 and third.pred_masks.shape == (0, 4, 6)
    assert second.track_ids.tolist() == [7] and second.embeddings.tolist() == [[1.0] * 4]
    assert model.taxonomy.thing_classes == ("a", "b", "c")


def test_vistr_follows_objects_over_its_passes(tmp_path: Path) -> None:
    config = ROOT / "configs" / "instant_test" / "vistr_instant_test.yaml"
    torch.manual_seed(0)
    torch.save({"model": build_model(load_config(config)).state_dict()}, tmp_path / "vistr.pth")
    model = find_instance_model(
        None, config, str(tmp_path / "vistr.pth"), device="cpu", threshold=0.0
    )
    assert model.tracks
    frames, asked = make_frames()[:1].repeat(8, 0), []

    def one_by_one() -> Iterator[np.ndarray]:
        for index, frame in enumerate(frames):
            asked.append(index)
            yield frame

    found = []
    for instances in model.stream(one_by_one()):
        assert len(asked) <= len(found) + 3  # frames of a pass
        found.append(instances)
    assert len(found) == 8 and all(each.has("track_ids") for each in found)
    whole = model(frames)
    assert [each.track_ids.tolist() for each in found] == [e.track_ids.tolist() for e in whole]
    assert all((a.pred_masks == b.pred_masks).all() for a, b in zip(found, whole, strict=True))


def test_instances_come_sorted_and_without_empty_masks() -> None:
    masks = torch.zeros(4, 2, 2)
    masks[:3, 0] = 1
    scores = torch.tensor([0.6, 0.9, 0.4, 0.8], dtype=torch.bfloat16)
    found = make_instances((2, 2), masks, torch.arange(4), scores, 0.5, track_ids=torch.arange(4))
    assert found.pred_classes.tolist() == found.track_ids.tolist() == [1, 0]
    assert found.scores.dtype == torch.float32


def test_coco_has_80_classes_of_91_numbers() -> None:
    names = COCO_TAXONOMY.thing_classes
    assert len(names) == len(COCO_CATEGORY_IDS) == 80
    classes = class_of_category(np.array([1, 13, 44, 90, 12, 91]))
    assert [names[number] for number in classes[:4]] == [
        *("person", "stop sign", "bottle", "toothbrush")
    ]
    assert classes[4:].tolist() == [-1, -1]


NARROW = {"config_file": CONFIG, "opts": OPTS}


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"model": "sam"}, "model sam is unknown; give vps, coco, or hf: and a name"),
        ({"model": "hf:"}, "model hf: is unknown"),
        ({"model": "vps", "config_file": CONFIG}, "both model vps and config file"),
        ({"model": "coco", "weights": "a.pth"}, "without the config file of their model"),
        ({"model": "coco", "opts": ["A", "1"]}, "A is a key of a configuration, which model coco"),
        ({"model": "coco", "text": "a dog"}, "a text prompt needs a promptable video model"),
        ({"model": "vps", "device": "gpu0"}, "device gpu0 is unknown or not usable here"),
        ({"model": "vps", "device": "meta"}, "device meta does not compute"),
        ({"config_file": "absent.yaml", "weights": "a.pth"}, "absent.yaml"),
        ({**NARROW, "weights": "a.pkl"}, "checkpoint a.pkl does not exist"),
        ({**NARROW, "weights": "package://unet.pth"}, "has no weight of this model"),
        (NARROW, "names no weights"),
        (
            {"config_file": "configs/simvp/simvp_gsta_11to11.yaml", "weights": "a.pth"},
            "describes SimVP, whose task is frames; give a model for segmentation",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_does_not_fit_is_one_sentence(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as caught:
        find_instance_model(**{"device": "cpu", **arguments})
    assert words in str(caught.value) and str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_boxes_without_masks_are_refused(zoo_checkpoint: str) -> None:
    with pytest.raises(UserError, match="boxes without masks"):
        load_zoo(zoo_checkpoint, "MODEL.MASK_ON", "False")(make_frames(1))
