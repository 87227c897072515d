from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.helpers import ROOT
from vps_d2.config.defaults import get_vps_cfg
from vps_d2.config.loading import load_config
from vps_d2.d2.modeling import build_model
from vps_d2.d2.utils.events import EventStorage
from vps_d2.data.vps import TAXONOMY
from vps_d2.io.errors import UserError
from vps_d2.modeling import MaskSimVP, SimVPNetwork

HEIGHT, WIDTH = 16, 24
CONFIGS = sorted((ROOT / "configs" / "mask_simvp").glob("*.yaml"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tensors this small gain nothing from more threads, and lose much on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def small(all_targets: bool = False, **arguments) -> MaskSimVP:
    torch.manual_seed(0)
    num_slots, embedding = arguments.get("num_slots", 3), arguments.get("embedding", 0)
    in_channels, out_channels = MaskSimVP.num_planes(TAXONOMY.groups, num_slots, embedding)
    rollout = arguments.get("rollout_steps", 0)
    network = SimVPNetwork(
        channels=in_channels,
        out_channels=out_channels,
        num_input_frames=3,
        num_output_frames=11 if all_targets and not rollout else 1,
        hidden_spatial=8,
        hidden_temporal=16,
        num_spatial_layers=2,
        num_temporal_layers=2,
        patch_size=2,
        skip_last=True,
        channels_last=True,
    )
    defaults = {"num_slots": num_slots, "embedding": embedding, "all_targets": all_targets}
    return MaskSimVP(network=network, groups=TAXONOMY.groups, **{**defaults, **arguments})


def video(*objects: tuple[int, int, int], height: int = HEIGHT, width: int = WIDTH) -> dict:
    """Squares given as class number, row and speed in columns a frame; 3 + 11 masks."""
    masks = torch.zeros(14, height, width, dtype=torch.uint8)
    for number, row, speed in objects:
        for frame in range(14):
            left = round(speed * frame) if speed >= 0 else width - 4 + speed * frame
            masks[frame, row : row + 4, max(left, 0) : max(left + 4, 0)] = number
    return {
        "masks": masks[:3],
        "target_masks": masks[3:],
        "target_valid": torch.ones(11, dtype=torch.bool),
    }


VIDEOS = (
    video(),  # no object
    video((48, 4, 1)),
    video((1, 0, 1), (7, 4, 0), (20, 8, 1), (33, 12, -1)),  # more classes than slots
)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"all_targets": True},
        {"num_slots": 0},
        {"num_slots": 0, "embedding": 4, "all_targets": True},
        {"rollout_steps": 11, "all_targets": True},
        {"rollout_steps": 11, "num_slots": 0},
        {"residual": True, "all_targets": True},
        {"residual": True, "rollout_steps": 11},
    ],
)
def test_trains_and_predicts_in_every_mode(arguments: dict) -> None:
    model = small(jaccard_weight=1.0, **arguments)
    with EventStorage(0):
        losses = model.train()(list(VIDEOS))
    assert set(losses) == {"loss_cross_entropy", "loss_jaccard"}
    sum(losses.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert model.network.readout.weight.grad.any()
    with torch.no_grad():
        outputs = model.eval()(list(VIDEOS))
    for given, output in zip(VIDEOS, outputs, strict=True):
        assert output["sem_seg"].shape == (49, HEIGHT, WIDTH)
        assert output["sem_seg"].dtype == torch.float32
        seen = [0, *given["masks"].unique().tolist()]
        assert set(output["sem_seg"].argmax(0).unique().tolist()) <= set(seen)
        if arguments.get("all_targets"):
            assert output["sem_segs"].shape == (11, 49, HEIGHT, WIDTH)
            assert torch.equal(output["sem_segs"][-1], output["sem_seg"])
        else:
            assert set(output) == {"sem_seg"}
    assert not outputs[0]["sem_seg"].argmax(0).any()
    assert outputs[0]["sem_seg"][0].isfinite().all()


@pytest.mark.parametrize("arguments", [{}, {"num_slots": 0}, {"rollout_steps": 11}])
def test_residual_starts_as_copy(arguments: dict) -> None:
    given = [VIDEOS[0], VIDEOS[1], video((2, 3, 1), (17, 8, -1), height=HEIGHT, width=WIDTH)]
    outputs = small(residual=True, **arguments).eval()(given)
    for each, output in zip(given, outputs, strict=True):
        assert torch.equal(output["sem_seg"].argmax(0), each["masks"][-1].long())


def test_objects_of_one_shape_are_alike_and_see_each_other() -> None:
    first, second = (3, 0, 1), (7, 8, -1)
    pair, swapped, alone = small().eval()(
        [video(first, second), video((7, *first[1:]), (3, *second[1:])), video(first)]
    )
    assert torch.equal(pair["sem_seg"][[0, 3, 7]], swapped["sem_seg"][[0, 7, 3]])
    assert not torch.allclose(pair["sem_seg"][3], pair["sem_seg"][7])
    assert not torch.allclose(pair["sem_seg"][3], alone["sem_seg"][3])


def test_odd_sizes_and_an_empty_batch() -> None:
    model = small().eval()
    assert model([]) == []
    with torch.no_grad():
        (output,) = model([video((5, 2, 1), height=13, width=19)])
    assert output["sem_seg"].shape == (49, 13, 19)


def test_a_class_first_seen_late_is_a_class_and_one_never_seen_is_not() -> None:
    late = video((5, 4, 1))
    late["masks"][-1, 12:] = 9
    never = video((5, 4, 1))
    never["target_masks"][:, 12:] = 9
    outputs = small().eval()([late, never])
    kept = [torch.isfinite(output["sem_seg"][:, 0, 0]).nonzero().flatten() for output in outputs]
    assert [each.tolist() for each in kept] == [[0, 5, 9], [0, 5]]
    assert small().train()([never])["loss_cross_entropy"].isfinite()


def test_classes_not_seen_can_be_kept_without_slots() -> None:
    logits = small(num_slots=0, seen_classes_only=False).eval()([VIDEOS[1]])[0]["sem_seg"]
    assert logits.isfinite().all()
    barred = small(num_slots=0).eval()([VIDEOS[1]])[0]["sem_seg"]
    assert torch.isfinite(barred[:, 0, 0]).nonzero().flatten().tolist() == [0, 48]


def test_no_valid_target_is_no_loss() -> None:
    hidden = {**VIDEOS[1], "target_valid": torch.zeros(11, dtype=torch.bool)}
    losses = small(jaccard_weight=1.0).train()([hidden])
    assert sum(losses.values()).item() == 0
    sum(losses.values()).backward()


def test_wrong_input_is_a_sentence() -> None:
    with pytest.raises(UserError, match="needs 3 masks of a video, not 2"):
        small().eval()([{"masks": VIDEOS[1]["masks"][:2]}])
    with pytest.raises(UserError, match="in one batch"):
        small().eval()([VIDEOS[0], video(height=13)])


def test_sampling_grows_over_the_run() -> None:
    model = small(rollout_steps=11, sampling_prob=(0.2, 0.8), sampling_iters=100)
    chances = []
    for iteration in (0, 50, 100, 500):
        with EventStorage(iteration):
            chances.append(model._sampling_chance())
    assert chances == pytest.approx([0.2, 0.5, 0.8, 0.8])


def test_a_rollout_is_fed_the_truth_or_itself() -> None:
    true = VIDEOS[1]["target_masks"][None]
    for chance in (0.0, 1.0):
        model = small(rollout_steps=11, sampling_prob=(chance, chance)).eval()
        batch = model._read(VIDEOS[1]["masks"][None])
        with EventStorage(0), torch.no_grad():
            logits = [
                model._roll_out(batch, 3, (targets, torch.tensor([valid] * 11)[None]))[0, -1]
                for targets, valid in ((true, True), (true.flip(2), True), (true.flip(2), False))
            ]
            alone = model._roll_out(batch, 3)[0, -1]
        assert torch.equal(logits[0], logits[1]) == (chance == 1.0)
        assert torch.equal(logits[2], alone)  # a target beyond the video is never fed


def test_a_rollout_learns_the_last_mask_or_all() -> None:
    true = VIDEOS[1]
    early = {**true, "target_masks": true["target_masks"].clone()}
    early["target_masks"][4] = 0  # only this step's target differs
    for all_targets in (False, True):
        model = small(all_targets, rollout_steps=11, sampling_prob=(1.0, 1.0)).train()
        with EventStorage(0):
            losses = [model([each])["loss_cross_entropy"] for each in (true, early)]
        assert torch.equal(*losses) != all_targets


@pytest.mark.parametrize("rollout_steps", [0, 3])
def test_learns_a_moving_square(rollout_steps: int) -> None:
    arguments = {"rollout_steps": rollout_steps, "sampling_iters": 30}
    model = small(num_slots=2, jaccard_weight=1.0, **arguments).train()
    count = rollout_steps or 11

    def clip(number: int, row: int) -> dict:
        whole = video((number, row, 1))
        return {key: value if key == "masks" else value[:count] for key, value in whole.items()}

    steps = 60
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    clips = [clip(number, row) for number, row in ((3, 2), (8, 6), (11, 9), (16, 0))]
    with EventStorage(0) as storage:
        for _ in range(steps):
            loss = sum(model(clips).values())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            storage.step()
    outputs = model.eval()([clip(5, 6), clip(14, 2)])
    for output, number, row in zip(outputs, (5, 14), (6, 2), strict=True):
        found = output["sem_seg"].argmax(0) == number
        truth = clip(number, row)["target_masks"][-1] == number
        assert (found & truth).sum() / (found | truth).sum() > 0.4  # a copy: 0.14 at most


@pytest.mark.parametrize("path", CONFIGS, ids=[path.stem for path in CONFIGS])
def test_shipped_configurations_fit_into_16_mb(path: Path) -> None:
    cfg = load_config(path, ["MODEL.DEVICE", "cpu"])
    model = build_model(cfg)
    assert isinstance(model, MaskSimVP)
    assert sum(value.numel() for value in model.state_dict().values()) * 2 < 16e6


def test_contradicting_keys_are_sentences() -> None:
    for key, value, match in (
        ("EMBEDDING", 8, "set one of the two to 0"),
        ("TARGETS", "first", 'TARGETS must be .* not "first"'),
        ("TRANSLATOR", "none", 'TRANSLATOR must be .* not "none"'),
    ):
        cfg = get_vps_cfg()
        cfg.MODEL.MASK_SIMVP[key] = value
        with pytest.raises(UserError, match=match):
            MaskSimVP(cfg)
    cfg = get_vps_cfg()
    cfg.merge_from_list(["MODEL.MASK_SIMVP.ROLLOUT", True, "INPUT.TARGET_GAP", 10])
    with pytest.raises(UserError, match=r"TARGET_GAP 10 leaves out .*; set ROLLOUT False or"):
        MaskSimVP(cfg)
    with pytest.raises(UserError, match="nothing would be learned"):
        small(cross_entropy_weight=0.0)
