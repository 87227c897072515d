"""Taxonomies: the classes of a data set, with their names and colors.

A class map holds class numbers: 0 is background, ``k`` is the ``k``-th object class. Detectron2's
``category_id`` of an instance is the class number minus one. Nothing here imports PyTorch.
"""

import colorsys
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vps_d2.io.errors import UserError

MAX_CLASSES = 255
"""Background included; class maps are uint8."""
NO_CLASS = 255
"""In a class map: the pixel has no class and does not count."""
_BACKGROUND = "background"
_GOLDEN_RATIO = 0.618034


@dataclass(frozen=True)
class Taxonomy:
    """The classes of a data set.

    Args:
        thing_classes: names of the object classes, in order of their number, from 1 on.
        thing_colors: RGB, 0-255, of each of them; () for well distinguishable colors.
        thing_groups: for each of them, the number of its group of classes that look and move alike,
            from 0 on; () for one group.
        one_object_per_class: whether a video never holds two objects of one class, so that a class
            is an object.

    Raises:
        UserError: if there is no class, there are too many, or two with the same name; if the
            numbers of names, colors and groups differ; or if a color or the numbering of groups is
            invalid.
    """

    thing_classes: tuple[str, ...]
    thing_colors: tuple[tuple[int, int, int], ...] = ()
    thing_groups: tuple[int, ...] = ()
    one_object_per_class: bool = False

    def __post_init__(self) -> None:
        count = len(self.thing_classes)
        if not 0 < count < MAX_CLASSES:
            raise UserError(f"a taxonomy has {count} object classes; give 1 to {MAX_CLASSES - 1}.")
        for number, name in enumerate(self.thing_classes):
            if name in (_BACKGROUND, *self.thing_classes[:number]):
                raise UserError(
                    f'two classes of a taxonomy are called "{name}"; give each object class a '
                    f'different name, but not "{_BACKGROUND}".'
                )
        for noun, values in (("colors", self.thing_colors), ("groups", self.thing_groups)):
            if values and len(values) != count:
                raise UserError(
                    f"a taxonomy has {count} object classes but {len(values)} {noun}; give the "
                    "same number of each."
                )
        for color in self.thing_colors:
            if len(color) != 3 or not all(0 <= value <= 255 for value in color):
                raise UserError(f"{color} is not a color; give red, green and blue from 0 to 255.")
        if self.thing_groups and set(self.thing_groups) != set(range(self.num_groups)):
            raise UserError(
                f"the groups of a taxonomy are {self.thing_groups}; number them from 0 on, without "
                "gaps."
            )

    @classmethod
    def numbered(cls, num_classes: int) -> "Taxonomy":
        """Return classes named by their numbers; the count includes background."""
        return cls(tuple(f"class {number}" for number in range(1, num_classes)))

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of all classes, background first."""
        return (_BACKGROUND, *self.thing_classes)

    @property
    def num_classes(self) -> int:
        """Classes, background included."""
        return len(self.thing_classes) + 1

    @property
    def groups(self) -> tuple[int, ...]:
        """The group of each object class."""
        return self.thing_groups or (0,) * len(self.thing_classes)

    @property
    def num_groups(self) -> int:
        """Groups of object classes."""
        return max(self.groups) + 1

    @property
    def colors(self) -> tuple[tuple[int, int, int], ...]:
        """RGB, 0-255, of each object class."""
        return self.thing_colors or distinct_colors(len(self.thing_classes))

    @cached_property
    def palette(self) -> np.ndarray:
        """RGB of every value that a pixel of a class map can have, uint8 ``(256, 3)``.

        Background is black; numbers that are not a class are white, so that they are noticed.
        """
        palette = np.full((256, 3), 255, np.uint8)
        palette[: self.num_classes] = ((0, 0, 0), *self.colors)
        return palette


def distinct_colors(count: int) -> tuple[tuple[int, int, int], ...]:
    """Return RGB colors, 0-255, of which neighbors are easy to distinguish."""
    colors = []
    for index in range(count):
        hue = (index * _GOLDEN_RATIO) % 1
        value = (1.0, 0.8, 0.62)[index // 7 % 3]
        red, green, blue = colorsys.hsv_to_rgb(hue, 0.75, value)
        colors.append((round(255 * red), round(255 * green), round(255 * blue)))
    return tuple(colors)
