"""Taxonomies: their numbers, names and colors, and what is refused."""

import numpy as np
import pytest

from vps_d2.data.taxonomy import MAX_CLASSES, Taxonomy, distinct_colors
from vps_d2.data.vps import CLASS_NAMES, TAXONOMY
from vps_d2.io.errors import UserError

ABC = ("a", "b", "c")


def test_background_is_class_0() -> None:
    taxonomy = Taxonomy(ABC)
    assert taxonomy.class_names == ("background", "a", "b", "c")
    assert taxonomy.num_classes == 4 and not taxonomy.one_object_per_class
    assert taxonomy.groups == (0, 0, 0) and taxonomy.num_groups == 1


def test_the_palette_has_the_given_colors_and_shows_what_is_no_class() -> None:
    taxonomy = Taxonomy(ABC, ((255, 0, 0), (0, 255, 0), (0, 0, 255)))
    assert taxonomy.palette.dtype == np.uint8 and taxonomy.palette.shape == (256, 3)
    assert taxonomy.palette[:4].tolist() == [[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]]
    assert (taxonomy.palette[4:] == 255).all()


def test_colors_that_are_not_given_differ() -> None:
    for count in (1, 5, 20):
        colors = distinct_colors(count)
        assert len(set(colors)) == count and (0, 0, 0) not in colors
        assert np.array(colors).min() >= 0 and np.array(colors).max() <= 255
    assert Taxonomy(ABC).colors == distinct_colors(3)


def test_as_many_classes_as_a_byte_holds() -> None:
    taxonomy = Taxonomy.numbered(MAX_CLASSES)
    assert taxonomy.num_classes == 255 and taxonomy.class_names[254] == "class 254"
    assert (taxonomy.palette[255] == 255).all()
    with pytest.raises(UserError, match="has 255 object classes; give 1 to 254"):
        Taxonomy.numbered(MAX_CLASSES + 1)


def test_the_vps_classes() -> None:
    assert TAXONOMY.class_names == CLASS_NAMES and TAXONOMY.num_groups == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (((),), "has 0 object classes"),
        ((("a", "b", "a"),), 'two classes of a taxonomy are called "a"'),
        ((("a", "background"),), 'called "background"; give each object class a different name'),
        ((ABC, ((0, 0, 0),)), "has 3 object classes but 1 colors"),
        ((ABC, (), (0, 0)), "has 3 object classes but 2 groups"),
        ((("a",), ((0, 0, 256),)), r"\(0, 0, 256\) is not a color; give .* 0 to 255"),
        ((("a",), ((-1, 0, 0),)), r"\(-1, 0, 0\) is not a color"),
        ((("a",), ((1, 2, 3, 4),)), r"\(1, 2, 3, 4\) is not a color"),
        ((ABC, (), (1, 1, 2)), r"groups of a taxonomy are \(1, 1, 2\); number them from 0 on"),
        ((ABC, (), (0, 2, 2)), "without gaps"),
        ((ABC, (), (-1, 0, 0)), "without gaps"),
    ],
)
def test_what_is_refused(arguments: tuple, words: str) -> None:
    with pytest.raises(UserError, match=words) as error:
        Taxonomy(*arguments)
    assert "\n" not in str(error.value)
