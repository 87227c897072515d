"""The scores of this project: Jaccard index of masks; MSE, PSNR, SSIM and others of frames.

Each is accumulated sample by sample, so memory does not grow with the data set. Shapes: ``T``
frames, ``H`` rows, ``W`` columns. Masks hold class numbers, frames values of 0-255.
"""

from collections.abc import Sequence

import numpy as np
import torch

from vps_d2.evaluation.perceptual import PERCEPTUAL
from vps_d2.io.errors import UserError

_PEAK = 255.0
_WINDOW = 11  # height and width of SSIM's window in pixels, with torchmetrics' deviation of 1.5


class JaccardIndex:
    """Macro-averaged Jaccard index, accumulated over a split.

    As in torchmetrics' ``MulticlassJaccardIndex(average="macro")``, intersections and unions are
    summed over all masks first, and a class that occurs in neither truth nor prediction is left out
    of the mean.

    Args:
        num_classes: background included.

    Attributes:
        confusion: int64 ``(num_classes, num_classes)``, pixels by true and predicted class.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.confusion = np.zeros((num_classes, num_classes), np.int64)

    def update(self, predicted: np.ndarray, truth: np.ndarray) -> None:
        """Count the pixels of two class maps of one shape.

        Raises:
            ValueError: if the shapes differ or a class number is out of range.
        """
        predicted, truth = np.asarray(predicted), np.asarray(truth)
        if predicted.shape != truth.shape:
            raise ValueError(
                f"masks of shapes {predicted.shape} and {truth.shape} cannot be compared"
            )
        for mask in (predicted, truth):
            if mask.size and not 0 <= mask.min() <= mask.max() < self.num_classes:
                raise ValueError(f"a mask has classes outside 0-{self.num_classes - 1}")
        cells = truth.astype(np.int64).ravel() * self.num_classes + predicted.ravel()
        self.confusion += np.bincount(cells, minlength=self.num_classes**2).reshape(
            self.num_classes, self.num_classes
        )

    def per_class(self) -> np.ndarray:
        """Return the index of every class, float ``(num_classes,)``, NaN where it never occurs."""
        intersection = np.diag(self.confusion)
        union = self.confusion.sum(0) + self.confusion.sum(1) - intersection
        with np.errstate(invalid="ignore"):
            return intersection / union

    def macro(self) -> float:
        """Return the mean over the classes that occur, NaN before the first update."""
        scores = self.per_class()
        occurs = ~np.isnan(scores)
        return float(scores[occurs].mean()) if occurs.any() else float("nan")


class FrameErrors:
    """MSE, PSNR and SSIM of predicted frames, averaged over frames.

    Args:
        perceptual: names of scores in ``PERCEPTUAL`` to add, which take longer.

    Attributes:
        names: of all scores.
        sums: float ``(len(names),)``, of each score over all frames counted.
        count: of the frames.
    """

    def __init__(self, perceptual: Sequence[str] = ()) -> None:
        self.perceptual = perceptual
        self.names = ("mse", "psnr", "ssim", *perceptual)
        self.sums = np.zeros(len(self.names))
        self.count = 0

    def update(
        self, predicted: torch.Tensor, truth: torch.Tensor, valid: torch.Tensor | None = None
    ) -> None:
        """Count the frames of one video.

        Args:
            predicted: ``(T, 3, H, W)``, 0-255.
            truth: the same shape, any dtype.
            valid: bool ``(T,)``; frames to count, all if None.

        Raises:
            ValueError: if the shapes differ.
            UserError: if the frames are smaller than SSIM's window, or a perceptual score cannot
                be computed here.
        """
        if predicted.shape != truth.shape:
            raise ValueError(
                f"frames of shapes {tuple(predicted.shape)} and {tuple(truth.shape)} cannot be "
                "compared"
            )
        height, width = truth.shape[2:]
        if min(height, width) <= _WINDOW // 2:
            raise UserError(
                f"frames of {width}x{height} pixels are too small for SSIM, whose window is "
                f"{_WINDOW}x{_WINDOW}; use larger ones."
            )
        predicted, truth = predicted.detach().cpu().float(), truth.detach().cpu().float()
        if valid is not None:
            predicted, truth = predicted[valid.cpu()], truth[valid.cpu()]
        if not len(predicted):
            return
        # Imported here, as that takes longer than most uses of this module.
        from torchmetrics.functional.image import structural_similarity_index_measure

        errors = (predicted - truth).square().mean(dim=(1, 2, 3))
        # 8-bit rounding alone gives an MSE of 1/12; clamp there.
        noise = 10 * torch.log10(_PEAK**2 / errors.clamp(min=1 / 12))
        # SSIM is a small difference of large sums, which bfloat16 would lose.
        with torch.autocast("cpu", enabled=False):
            similarity = structural_similarity_index_measure(
                predicted, truth, data_range=_PEAK, reduction="none"
            )
            assert isinstance(similarity, torch.Tensor)
            seen = [PERCEPTUAL[name](predicted, truth) for name in self.perceptual]
        scores = torch.stack([errors, noise, similarity.reshape(-1), *seen])
        self.sums += scores.double().sum(1).numpy()
        self.count += len(predicted)

    def compute(self) -> dict[str, float]:
        """Return the means: ``mse`` (of values 0-255), ``psnr`` (dB), ``ssim`` and the perceptual.

        They are NaN if no frame was counted.
        """
        means = self.sums / self.count if self.count else np.full(len(self.names), np.nan)
        return dict(zip(self.names, map(float, means), strict=True))
