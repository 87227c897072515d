"""Taxonomies in Metadata and in configurations."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from vps_d2.config.defaults import get_vps_cfg
from vps_d2.d2.data import DatasetCatalog, MetadataCatalog
from vps_d2.data.metadata import (
    check_taxonomies,
    config_taxonomy,
    dataset_taxonomy,
    describe_dataset,
    find_taxonomy,
    write_taxonomy,
)
from vps_d2.data.taxonomy import Taxonomy
from vps_d2.data.vps import TAXONOMY
from vps_d2.io.errors import UserError

PETS = Taxonomy(("cat", "dog"), ((1, 2, 3), (4, 5, 6)), (1, 0), one_object_per_class=True)


@pytest.fixture
def register() -> Iterator[Any]:
    """Register an empty data set with some Metadata; all of them are gone after the test."""
    names: list[str] = []

    def add(name: str, **metadata: Any) -> str:
        name = f"{name}_of_test_metadata"
        DatasetCatalog.register(name, list)
        MetadataCatalog.get(name).set(**metadata)
        names.append(name)
        return name

    yield add
    for name in names:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


def test_what_describes_a_data_set_is_read_again(register) -> None:
    name = register("pets")
    describe_dataset(name, PETS)
    assert dataset_taxonomy(name) == PETS
    metadata = MetadataCatalog.get(name)
    assert metadata.stuff_classes == ["background", "cat", "dog"]
    assert metadata.stuff_colors == [(0, 0, 0), (1, 2, 3), (4, 5, 6)]


def test_metadata_as_other_projects_write_it(register) -> None:
    colors = [np.array([1.0, 2.0, 3.0]), [4, 5, 6]]
    things = register("things", thing_classes=["cat", "dog"], thing_colors=colors)
    assert dataset_taxonomy(things) == Taxonomy(("cat", "dog"), ((1, 2, 3), (4, 5, 6)))
    stuff = register(
        "stuff",
        stuff_classes=["background", "cat", "dog"],
        stuff_colors=[(0, 0, 0), (1, 2, 3), (4, 5, 6)],
    )
    assert dataset_taxonomy(stuff) == dataset_taxonomy(things)


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({}, 'has no thing_classes, and no stuff_classes after "background"; set'),
        ({"stuff_classes": ["road", "sky"]}, "has no thing_classes, and no stuff_classes after"),
        ({"stuff_classes": ["background"]}, "has no thing_classes"),
        ({"thing_classes": ["a", "a"]}, 'bad_of_test_metadata: two classes .* called "a"'),
        ({"thing_classes": ["a"], "thing_colors": [(1, 2)]}, r"\(1, 2\) is not a color"),
        ({"thing_classes": ["a"], "thing_colors": [(1, 2, 256)]}, r"\(1, 2, 256\) is not a color"),
        ({"thing_classes": ["a"], "thing_groups": [1]}, r"groups of a taxonomy are \(1,\)"),
    ],
)
def test_metadata_that_is_no_taxonomy_is_one_sentence(metadata, words, register) -> None:
    name = register("bad", **metadata)
    with pytest.raises(UserError, match=words) as error:
        dataset_taxonomy(name)
    assert name in str(error.value) and "\n" not in str(error.value)


def test_a_configuration_has_the_classes_of_its_first_data_set_until_they_are_written(register):
    cfg = get_vps_cfg()
    assert find_taxonomy(cfg) is None
    write_taxonomy(cfg)
    assert cfg.TAXONOMY.CLASSES == ()
    with pytest.raises(
        UserError, match=r"TAXONOMY\.CLASSES is empty, and none of the data sets \(none"
    ):
        config_taxonomy(cfg)
    nameless, pets = register("nameless"), register("pets")
    describe_dataset(pets, PETS)
    cfg.DATASETS.TRAIN = ("absent_of_test_metadata", nameless, pets)
    assert config_taxonomy(cfg) == PETS
    write_taxonomy(cfg)
    cfg.DATASETS.TRAIN = ()
    assert config_taxonomy(get_vps_cfg().load_cfg(cfg.dump())) == PETS


def test_classes_of_a_configuration_that_are_no_taxonomy_are_one_sentence() -> None:
    cfg = get_vps_cfg()
    cfg.TAXONOMY.CLASSES, cfg.TAXONOMY.COLORS = ("a",), ((0, 0, 300),)
    with pytest.raises(UserError, match=r"^TAXONOMY of the configuration: .* is not a color"):
        find_taxonomy(cfg)


def test_data_sets_of_other_classes_are_refused(register) -> None:
    cfg = get_vps_cfg()
    pets = register("pets", thing_classes=["cat", "dog"], thing_colors=[(1, 2, 3), (4, 5, 6)])
    again = register("again", thing_classes=["cat", "dog"])
    swapped = register("swapped", thing_classes=["dog", "cat"])
    nameless = register("nameless")
    cfg.DATASETS.TRAIN, cfg.DATASETS.TEST = (pets, nameless), (again,)
    check_taxonomies(cfg)
    cfg.DATASETS.TEST = (swapped,)
    words = rf"{swapped} has 2 .*\(dog, cat\), but the first data set has 2 .*\(cat, dog\); use"
    with pytest.raises(UserError, match=words):
        check_taxonomies(cfg)
    cfg.DATASETS.TRAIN, cfg.DATASETS.TEST = (), ("vps_val",)
    cfg.TAXONOMY.CLASSES = ("cat", "dog")
    with pytest.raises(UserError, match=r"vps_val has 48 object classes \(gray .*, but TAXONOMY"):
        check_taxonomies(cfg)
    cfg.TAXONOMY.CLASSES = TAXONOMY.thing_classes
    check_taxonomies(cfg)
