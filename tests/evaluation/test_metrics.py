import math

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassJaccardIndex
from torchmetrics.functional.image import peak_signal_noise_ratio

from vps_d2.evaluation.metrics import FrameErrors, JaccardIndex
from vps_d2.io.errors import UserError


@pytest.mark.parametrize("num_classes", [4, 49])
def test_jaccard_agrees_with_torchmetrics(num_classes: int) -> None:
    rng = np.random.default_rng(0)
    ours = JaccardIndex(num_classes)
    macro = MulticlassJaccardIndex(num_classes, average="macro")
    each = MulticlassJaccardIndex(num_classes, average="none")
    for _ in range(3):
        # Some of the classes occur in truth alone, in prediction alone, or nowhere.
        truth = rng.integers(0, num_classes // 2, (2, 6, 7)).astype(np.uint8)
        predicted = rng.integers(1, num_classes // 2 + 1, (2, 6, 7)).astype(np.uint8)
        predicted = np.where(rng.random(truth.shape) < 0.5, truth, predicted)
        ours.update(predicted, truth)
        for metric in (macro, each):
            metric.update(torch.from_numpy(predicted), torch.from_numpy(truth))
    assert ours.macro() == pytest.approx(macro.compute().item(), abs=1e-6)
    np.testing.assert_allclose(np.nan_to_num(ours.per_class()), each.compute(), atol=1e-6)


def test_jaccard_of_background_alone_and_of_nothing() -> None:
    jaccard = JaccardIndex(49)
    assert math.isnan(jaccard.macro())
    jaccard.update(np.zeros((4, 5), np.uint8), np.zeros((4, 5), np.uint8))
    assert jaccard.macro() == 1
    assert np.isnan(jaccard.per_class()[1:]).all()


def test_jaccard_refuses_what_does_not_compare() -> None:
    jaccard = JaccardIndex(3)
    with pytest.raises(ValueError, match="cannot be compared"):
        jaccard.update(np.zeros((4, 5)), np.zeros((5, 4)))
    with pytest.raises(ValueError, match="outside 0-2"):
        jaccard.update(np.full((1, 1), 3), np.zeros((1, 1)))


def test_frame_errors_are_means_over_valid_frames() -> None:
    truth = torch.randint(0, 256, (4, 3, 16, 20), dtype=torch.uint8)
    predicted = truth.float()
    predicted[0] += 3
    predicted[3] = 0  # not valid
    errors = FrameErrors()
    errors.update(predicted[:2], truth[:2])
    errors.update(predicted[2:], truth[2:], torch.tensor([True, False]))
    scores = errors.compute()
    assert errors.count == 3
    assert scores["mse"] == pytest.approx(3)
    limit = 10 * math.log10(255**2 * 12)
    noise = peak_signal_noise_ratio(predicted[0], truth[0].float(), data_range=255.0).item()
    assert scores["psnr"] == pytest.approx((noise + 2 * limit) / 3, rel=1e-5)
    assert 0.99 < scores["ssim"] <= 1


def test_frames_smaller_than_the_window_are_a_sentence() -> None:
    errors = FrameErrors()
    for size in ((5, 40), (40, 5)):
        frames = torch.zeros(2, 3, *size)
        with pytest.raises(UserError, match=rf"{size[1]}x{size[0]} pixels are too small for SSIM"):
            errors.update(frames, frames)
    errors.update(torch.zeros(2, 3, 6, 6), torch.zeros(2, 3, 6, 6))
    assert errors.count == 2


def test_frame_errors_of_nothing() -> None:
    errors = FrameErrors()
    frames = torch.zeros(2, 3, 16, 16)
    errors.update(frames, frames, torch.tensor([False, False]))
    assert all(math.isnan(score) for score in errors.compute().values())
    with pytest.raises(ValueError, match="cannot be compared"):
        errors.update(frames, frames[:1])


def test_frame_errors_do_not_depend_on_autocast() -> None:
    torch.manual_seed(0)
    truth = 120 + 8 * torch.rand(2, 3, 32, 32)
    predicted = truth + torch.randn(2, 3, 32, 32)
    exact, rough = FrameErrors(), FrameErrors()
    exact.update(predicted, truth)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough.update(predicted, truth)
    assert rough.compute() == exact.compute()
