"""Curves of scores, as a picture."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

from vps_d2.io.errors import UserError

__all__ = ["Curve", "draw_curves"]


@dataclass(frozen=True)
class Curve:
    """A curve of scores from 0 to 1.

    Args:
        values: along the horizontal axis, in ascending order.
        scores: at these.
        label: of the horizontal axis.
        title: above the curve.
        point: a place on the horizontal axis to point out, and the score there; None for none.
    """

    values: Sequence[float]
    scores: Sequence[float]
    label: str
    title: str = ""
    point: tuple[float, float] | None = None


def draw_curves(curves: Sequence[Curve], score: str, caption: str = "") -> bytes:
    """Draw curves side by side.

    Args:
        curves: one or more.
        score: what the vertical axis shows.
        caption: below all of them.

    Returns:
        the bytes of a PNG.

    Raises:
        UserError: if matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError(
            "curves need the library matplotlib; install it with pip install vps_d2[interactive]."
        ) from error
    figure = Figure(figsize=(5 * len(curves), 4), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, curve in zip(
        figure.subplots(1, len(curves), sharey=True, squeeze=False)[0], curves, strict=True
    ):
        axes.plot(curve.values, curve.scores, marker="o")
        if curve.point:
            place, height = curve.point
            axes.axvline(place, color="gray", linewidth=1, linestyle=":")
            axes.annotate(f"{height:.3f}", (place, height), (6, -14), textcoords="offset points")
        axes.set(xlabel=curve.label, ylabel=score, title=curve.title, ylim=(0, 1))
        if all(float(value).is_integer() for value in curve.values):
            axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
    figure.supxlabel(caption, fontsize="small", wrap=True)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
