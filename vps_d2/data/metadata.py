"""Taxonomies in Metadata and in configurations."""

from collections.abc import Sequence

from vps_d2.d2.config import CfgNode
from vps_d2.d2.data import DatasetCatalog, MetadataCatalog
from vps_d2.data.taxonomy import Taxonomy
from vps_d2.io.errors import UserError


def describe_dataset(name: str, taxonomy: Taxonomy) -> None:
    """Write a taxonomy into the Metadata of a data set, as Detectron2 and this project read it."""
    MetadataCatalog.get(name).set(
        thing_classes=list(taxonomy.thing_classes),
        thing_colors=[tuple(color) for color in taxonomy.colors],
        stuff_classes=list(taxonomy.class_names),
        stuff_colors=[(0, 0, 0), *taxonomy.colors],
        thing_groups=list(taxonomy.groups),
        one_object_per_class=taxonomy.one_object_per_class,
        evaluator_type="vps",
    )


def dataset_taxonomy(name: str) -> Taxonomy:
    """Return the taxonomy that the Metadata of a registered data set describes.

    Args:
        name: of the data set; ``thing_classes`` is needed, ``thing_colors``, ``thing_groups`` and
            ``one_object_per_class`` are read where they are.

    Raises:
        UserError: if there are no ``thing_classes``.
    """
    metadata = MetadataCatalog.get(name)
    things = metadata.get("thing_classes")
    if not things:
        raise UserError(
            f"the Metadata of data set {name} has no thing_classes; set them where it is "
            "registered."
        )
    return Taxonomy(
        tuple(things),
        tuple(_rgb(color) for color in metadata.get("thing_colors") or ()),
        tuple(metadata.get("thing_groups") or ()),
        bool(metadata.get("one_object_per_class")),
    )


def find_taxonomy(cfg: CfgNode) -> Taxonomy | None:
    """Return the taxonomy of a configuration.

    Args:
        cfg: with the TAXONOMY keys, or else with DATASETS of which one is registered and has
            classes; the first of them counts.

    Returns:
        the taxonomy; None if nothing says it.
    """
    keys = cfg.TAXONOMY
    if keys.CLASSES:
        return Taxonomy(
            tuple(keys.CLASSES),
            tuple(_rgb(color) for color in keys.COLORS),
            tuple(keys.GROUPS),
            keys.ONE_OBJECT_PER_CLASS,
        )
    known = DatasetCatalog.list()
    for name in (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST):
        if name in known and MetadataCatalog.get(name).get("thing_classes"):
            return dataset_taxonomy(name)
    return None


def config_taxonomy(cfg: CfgNode) -> Taxonomy:
    """Return the taxonomy of a configuration, as :func:`find_taxonomy` does.

    Raises:
        UserError: if nothing says it.
    """
    taxonomy = find_taxonomy(cfg)
    if taxonomy is None:
        names = ", ".join((*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST)) or "none"
        raise UserError(
            f"the classes are not known: TAXONOMY.CLASSES is empty, and of the data sets ({names}) "
            "none is registered with classes; register them, or give the config.yaml that the "
            "training wrote."
        )
    return taxonomy


def write_taxonomy(cfg: CfgNode) -> None:
    """Write the taxonomy of a configuration into its TAXONOMY keys, so that it needs no data set.

    A configuration of which nothing says the classes stays as it is.
    """
    taxonomy = find_taxonomy(cfg)
    if taxonomy is None:
        return
    cfg.TAXONOMY.CLASSES = taxonomy.thing_classes
    cfg.TAXONOMY.COLORS = tuple(taxonomy.colors)
    cfg.TAXONOMY.GROUPS = taxonomy.groups
    cfg.TAXONOMY.ONE_OBJECT_PER_CLASS = taxonomy.one_object_per_class


def _rgb(color: Sequence[int]) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in color)
    return red, green, blue
