"""The vps data set: 49 classes, background and 48 objects, each a shape, a material and a color.

``id = 1 + 16 * shape + 8 * material + color``; 0 is background.
"""

from vps_d2.data.taxonomy import Taxonomy

NUM_FRAMES = 22
"""Frames in a whole video."""
NUM_INPUT_FRAMES = 11
"""Frames that a prediction starts from, and all that a hidden video has."""
NUM_TARGET_FRAMES = 11
"""Frames to predict."""

SHAPES = ("cube", "sphere", "cylinder")
MATERIALS = ("metal", "rubber")
COLORS = ("gray", "red", "blue", "green", "brown", "cyan", "purple", "yellow")

THING_NAMES: tuple[str, ...] = tuple(
    f"{color} {material} {shape}" for shape in SHAPES for material in MATERIALS for color in COLORS
)
"""Names of the 48 object classes; class number minus one is the index."""
CLASS_NAMES: tuple[str, ...] = ("background", *THING_NAMES)
"""Names of all classes; the class number is the index."""
NUM_CLASSES = len(CLASS_NAMES)
"""Classes, background included."""

_BASE_COLORS = (
    (128, 128, 128),
    (173, 35, 35),
    (42, 75, 215),
    (29, 105, 20),
    (129, 74, 25),
    (41, 208, 208),
    (129, 38, 192),
    (255, 238, 51),
)
# Metal is drawn brighter than rubber, and the shapes in three strengths, so that all 48 differ.
CLASS_COLORS: tuple[tuple[int, ...], ...] = (
    (0, 0, 0),
    *(
        tuple(min(255, round(value * strength * gloss)) for value in color)
        for strength in (1.0, 0.8, 0.62)
        for gloss in (1.15, 0.9)
        for color in _BASE_COLORS
    ),
)
"""RGB, 0-255, of every class in pictures of masks; the class number is the index."""


def class_id(shape: str, material: str, color: str) -> int:
    """Return the class number, 1-48, of an object; names are those of the tuples above."""
    return 1 + 16 * SHAPES.index(shape) + 8 * MATERIALS.index(material) + COLORS.index(color)


def class_parts(class_id: int) -> tuple[str, str, str]:
    """Return shape, material and color of a class number, 1-48."""
    shape, rest = divmod(int(class_id) - 1, len(MATERIALS) * len(COLORS))
    material, color = divmod(rest, len(COLORS))
    return SHAPES[shape], MATERIALS[material], COLORS[color]


TAXONOMY = Taxonomy(
    THING_NAMES,
    tuple((red, green, blue) for red, green, blue in CLASS_COLORS[1:]),
    tuple(SHAPES.index(name.split()[-1]) for name in THING_NAMES),
    one_object_per_class=True,
)
"""The 48 object classes, grouped by shape; every object of a video has a different class."""
