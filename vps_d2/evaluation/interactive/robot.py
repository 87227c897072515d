"""A robot that scribbles on the errors of a result, as a person who corrects it would.

It follows the specification of the DAVIS interactive challenge (Caelles et al., arXiv:1803.00557):
in each region that has the wrong object, it draws a smooth curve along the middle line.

Shapes: ``H`` rows, ``W`` columns. Object maps are uint8 ``(H, W)``: 0 for none, otherwise the
number of the object.
"""

import math
from dataclasses import dataclass

import cv2
import networkx as nx
import numpy as np
from scipy.interpolate import BPoly

from vps_d2.data.object_maps import object_numbers
from vps_d2.io.errors import UserError

try:
    from skimage.morphology import medial_axis
    from sklearn.neighbors import radius_neighbors_graph
except ImportError as error:
    raise UserError(
        "the robot needs the libraries scikit-image and scikit-learn; install them with pip "
        "install vps_d2[interactive]."
    ) from error

__all__ = ["Scribble", "draw_scribbles"]

_KERNEL = 0.2  # of the side of a square that is as large as the error
_MAX_RADIUS = 16.0
_SHRINK = 0.9
_MIN_NODES = 4
_NUM_POINTS = 1000
_NEAR = 1.5  # pixels: the 8 neighbors, the farthest of which are sqrt(2) away


@dataclass(frozen=True)
class Scribble:
    """A line on one object.

    Args:
        number: of the object that is really there; 0 for none.
        path: float64 ``(N, 2)``, x and y of its points as shares of the width and the height.
    """

    number: int
    path: np.ndarray


class _FixedOrder(np.random.Generator):
    """Permutes always alike, on every version of NumPy.

    The middle line of a region depends on the order in which pixels of equal rank are taken away;
    this is the order in which the published results of the challenge were made.
    """

    def permutation(self, x, axis=0):  # type: ignore[no-untyped-def]
        """Return the permutation that scikit-image asks for."""
        return np.random.RandomState(0).permutation(x)


def draw_scribbles(predicted: np.ndarray, truth: np.ndarray) -> list[Scribble]:
    """Scribble on the regions where an object, or the background, was not found.

    Args:
        predicted: object map.
        truth: object map of the same size.

    Returns:
        scribbles by number of the object, those of the background first; none where all is right
        or every region that is wrong is too small.

    Raises:
        ValueError: if the sizes differ.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"masks have the shapes {predicted.shape} and {truth.shape}")
    height, width = truth.shape
    scribbles = []
    for number in (0, *object_numbers(truth)):
        error = (truth == number) & (predicted != number)
        for line in _find_lines(_open(error)):
            scribbles.append(Scribble(number, _smooth(line) / (width, height)))
    return scribbles


def _open(error: np.ndarray) -> np.ndarray:
    """Return a region without its thin parts, if it has others, uint8 ``(H, W)``."""
    radius = min(0.5 * _KERNEL * math.sqrt(np.count_nonzero(error)), _MAX_RADIUS)
    region = opened = error.astype(np.uint8)
    while radius > 1:
        disc = _make_disc(radius)
        # In a corner of the picture nothing of a small disc may be inside, and nothing is left.
        eroded = np.minimum(cv2.erode(region, disc), cv2.dilate(region, disc))
        opened = np.asarray(cv2.dilate(eroded, disc), np.uint8)
        if opened.any():
            break
        radius *= _SHRINK
    return opened


def _make_disc(radius: float) -> np.ndarray:
    """Return a disc, uint8; if the radius is no whole number, it is a little off its center."""
    offsets = np.arange(-radius, radius + 1)
    return (offsets[:, None] ** 2 + offsets**2 <= radius**2).astype(np.uint8)


def _find_lines(region: np.ndarray) -> list[np.ndarray]:
    """Return the longest line in each part of the middle line of a region, ``(N, 2)``."""
    order = _FixedOrder(np.random.PCG64(0))
    x, y, width, height = cv2.boundingRect(region)
    inside = np.pad(region[y : y + height, x : x + width], 1)
    pixels = np.argwhere(medial_axis(inside, rng=order))[:, ::-1] + (x - 1, y - 1)
    if not len(pixels):
        return []
    # The order of the neighbors decides among paths of equal length, so it is left as it comes.
    graph = nx.from_scipy_sparse_array(radius_neighbors_graph(pixels, _NEAR, mode="distance"))
    lines = []
    for nodes in nx.connected_components(graph):
        if len(nodes) >= _MIN_NODES:
            part = graph.subgraph(nodes).copy()
            _cut_cycles(part)
            lines.append(pixels[_longest_path(part)].astype(np.float64))
    return lines


def _cut_cycles(graph: nx.Graph) -> None:
    """Take away the heaviest edge of each cycle, until there is none."""
    while True:
        try:
            cycle = nx.find_cycle(graph)
        except nx.NetworkXNoCycle:
            return
        graph.remove_edge(*max(cycle, key=lambda edge: graph.edges[edge]["weight"]))


def _longest_path(tree: nx.Graph) -> list[int]:
    """Return the nodes of the path with the most edges, by two searches in breadth."""
    start = next(iter(tree))
    hops = nx.single_source_shortest_path_length(tree, start)
    end = max(hops, key=hops.__getitem__)
    paths = nx.single_source_shortest_path(tree, end)
    return max(paths.values(), key=len)


def _smooth(line: np.ndarray) -> np.ndarray:
    """Return the points of the Bezier curve that a line controls; of a long line, itself."""
    if len(line) > _NUM_POINTS:
        return line
    return BPoly(line[:, None], [0, 1])(np.linspace(1, 0, _NUM_POINTS))
