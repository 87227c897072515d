import numpy as np
import pytest
import torch

from tests.helpers import ROOT
from vps_d2.config.loading import load_config
from vps_d2.d2.modeling import build_model
from vps_d2.data.synthetic import SyntheticOptions, render_masks, simulate, simulate_tracks
from vps_d2.data.track_mapper import TracksMapper
from vps_d2.io.errors import UserError
from vps_d2.modeling.object_dynamics import ObjectDynamicsNetwork, Tracks, masks_to_tracks

CONFIG = ROOT / "configs" / "object_dynamics" / "object_dynamics.yaml"
SMALL = (
    *("MODEL.DEVICE", "cpu", "MODEL.OBJECT_DYNAMICS.CHANNELS", "16"),
    *("MODEL.OBJECT_DYNAMICS.NUM_LAYERS", "1"),
)


def build(*opts: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_model(load_config(CONFIG, [*SMALL, *opts]))


def video(seed: int) -> dict[str, torch.Tensor]:
    return {"masks": torch.from_numpy(render_masks(simulate(seed), SyntheticOptions(), range(11)))}


@pytest.fixture(scope="module")
def batch(tmp_path_factory) -> list[dict]:
    path = tmp_path_factory.mktemp("tracks") / "tracks_00000.npy"
    np.save(path, np.stack([simulate_tracks(seed, SyntheticOptions()) for seed in range(6)]))
    mapper = TracksMapper(load_config(CONFIG, list(SMALL)), is_train=True)
    return [mapper({"tracks_file_name": str(path), "row": row}) for row in range(6)]


def test_training_lowers_every_part_of_the_loss_that_it_can(batch):
    model = build().train()
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    history = []
    for _ in range(12):
        losses = model(batch)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        history.append({name: float(loss.detach()) for name, loss in losses.items()})
    for name in ("loss_overlap", "loss_place", "loss_drawing"):
        first, last = (
            np.mean([step[name] for step in part]) for part in (history[:3], history[-3:])
        )
        assert last < first, name


def test_every_parameter_learns(batch):
    model = build().train()
    sum(model(batch).values()).backward()
    without = [
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is None or not parameter.grad.isfinite().all()
    ]
    assert not without


@pytest.mark.parametrize("futures", ["1", "8"])
def test_output_of_a_batch(futures):
    few = ("MODEL.OBJECT_DYNAMICS.NUM_FUTURES", futures)
    model = build(*few, "MODEL.OBJECT_DYNAMICS.MIN_PROBABILITY", "0.0").eval()
    videos = [video(1), video(2)]
    with torch.no_grad():
        outputs = model(videos)
    for given, output in zip(videos, outputs, strict=True):
        count = len(output["class_ids"])
        assert output["mask"].shape == (160, 240) and output["mask"].dtype == torch.uint8
        assert output["probabilities"].shape == (count, 11)
        assert output["places"].shape == output["centers"].shape == (count, 11, 2)
        assert output["futures"].shape == (count, int(futures), 2)
        assert set(output["mask"].unique().tolist()) <= {0, *output["class_ids"].tolist()}
        assert set(output["class_ids"].tolist()) <= set(given["masks"].unique().tolist())


def test_all_frames_end_with_the_last():
    one, all_frames = build(), build("MODEL.OBJECT_DYNAMICS.TARGETS", "all")
    with torch.no_grad():
        mask = one.eval()([video(1)])[0]
        masks = all_frames.eval()([video(1)])[0]
    assert "masks" not in mask and masks["masks"].shape == (11, 160, 240)
    assert torch.equal(mask["mask"], masks["masks"][-1])


def test_videos_do_not_know_of_each_other():
    model = build().eval()
    with torch.no_grad():
        alone, together = model([video(3)])[0], model([video(4), video(3)])[1]
    torch.testing.assert_close(alone["places"], together["places"], atol=1e-4, rtol=1e-4)


def test_no_objects_and_no_videos():
    model = build().eval()
    with torch.no_grad():
        output = model([{"masks": torch.zeros(11, 160, 240, dtype=torch.uint8)}])[0]
        assert model([]) == []
    assert not output["mask"].any() and output["places"].shape == (0, 11, 2)


def test_nothing_is_drawn_that_is_not_likely():
    only = ("MODEL.OBJECT_DYNAMICS.NUM_FUTURES", "1")
    model = build(*only, "MODEL.OBJECT_DYNAMICS.MIN_PROBABILITY", "1.0").eval()
    with torch.no_grad():
        assert not model([video(1)])[0]["mask"].any()


def test_masks_of_two_sizes_or_too_few():
    model = build().eval()
    masks = torch.zeros(11, 16, 24, dtype=torch.uint8)
    with pytest.raises(UserError, match="one size"):
        model([{"masks": masks}, {"masks": masks[:, :8]}])
    with pytest.raises(UserError, match="needs 11 masks"):
        model([{"masks": masks[:5]}])


def test_targets_that_are_none():
    with pytest.raises(UserError, match="TARGETS"):
        build("MODEL.OBJECT_DYNAMICS.TARGETS", "some")


def test_the_order_of_objects_does_not_matter():
    torch.manual_seed(0)
    network = ObjectDynamicsNetwork(channels=16, num_layers=1, substeps=2).eval()
    tracks = masks_to_tracks([video(1)["masks"]])
    turned = Tracks(tracks.class_ids.flip(1), tracks.measures.flip(1))
    with torch.no_grad():
        there, back = network(tracks), network(turned)
    known = there.state.exists
    torch.testing.assert_close(
        there.trajectory.places[known], back.trajectory.places.flip(1)[known], atol=1e-4, rtol=1e-4
    )


def test_other_classes_are_refused():
    with pytest.raises(UserError, match="only works for the objects of the vps data set"):
        build("TAXONOMY.CLASSES", "('cat', 'dog')")


def test_half_precision_around_it_changes_nothing():
    model = build().eval()
    with torch.no_grad():
        plain = model([video(1)])[0]
        with torch.autocast("cpu", torch.bfloat16):
            mixed = model([video(1)])[0]
    assert torch.equal(plain["places"], mixed["places"])
    assert torch.equal(plain["mask"], mixed["mask"])
