"""Reading and writing taxonomies in Metadata and configurations."""

from collections.abc import Callable, Sequence
from typing import cast

from vps_d2.d2.config import CfgNode
from vps_d2.d2.data import DatasetCatalog, MetadataCatalog
from vps_d2.data.taxonomy import Taxonomy
from vps_d2.io.errors import UserError

_SHOWN = 5  # names of classes in an error
# Functions that describe data sets whose classes are in a large file, by name.
_DESCRIBE: dict[str, Callable[[], None]] = {}


def describe_when_used(name: str, describe: Callable[[], None]) -> None:
    """Let a data set be described only when its taxonomy is first asked for.

    Args:
        name: of the data set.
        describe: calls :func:`describe_dataset`.
    """
    _DESCRIBE[name] = describe


def describe_dataset(name: str, taxonomy: Taxonomy, evaluator_type: str = "vps") -> None:
    """Write a taxonomy to the Metadata of a data set, as Detectron2 and this project read it.

    Args:
        name: of the data set.
        taxonomy: its classes.
        evaluator_type: "vps", or "ytvis" for a data set of tubes.
    """
    _DESCRIBE.pop(name, None)
    MetadataCatalog.get(name).set(
        thing_classes=list(taxonomy.thing_classes),
        thing_colors=[tuple(color) for color in taxonomy.colors],
        stuff_classes=list(taxonomy.class_names),
        stuff_colors=[(0, 0, 0), *taxonomy.colors],
        thing_groups=list(taxonomy.groups),
        one_object_per_class=taxonomy.one_object_per_class,
        evaluator_type=evaluator_type,
    )


def dataset_taxonomy(name: str) -> Taxonomy:
    """Return the taxonomy that the Metadata of a registered data set describes.

    Args:
        name: of the data set. It needs ``thing_classes``, or ``stuff_classes`` of which the first
            is "background"; ``thing_colors`` or ``stuff_colors``, ``thing_groups`` and
            ``one_object_per_class`` are read if present.

    Raises:
        UserError: if there are no such classes, or they do not form a taxonomy.
    """
    taxonomy = _read_taxonomy(name)
    if taxonomy is None:
        raise UserError(
            f"the Metadata of data set {name} has no thing_classes, and no stuff_classes after "
            '"background"; set one of them where it is registered.'
        )
    return taxonomy


def _read_taxonomy(name: str) -> Taxonomy | None:
    """Return the taxonomy of a registered data set; None if its Metadata names no classes."""
    if name in _DESCRIBE:
        _DESCRIBE[name]()
    metadata = MetadataCatalog.get(name)
    classes, colors = metadata.get("thing_classes"), metadata.get("thing_colors")
    stuff = metadata.get("stuff_classes") or [""]
    if not classes and stuff[0] == "background":
        classes, colors = stuff[1:], (metadata.get("stuff_colors") or [])[1:]
    if not classes:
        return None
    try:
        return Taxonomy(
            tuple(classes),
            tuple(_rgb(color) for color in colors or ()),
            tuple(metadata.get("thing_groups") or ()),
            bool(metadata.get("one_object_per_class")),
        )
    except UserError as error:
        raise UserError(f"the Metadata of data set {name}: {error}") from error


def find_taxonomy(cfg: CfgNode) -> Taxonomy | None:
    """Return the taxonomy of a configuration.

    Args:
        cfg: with the TAXONOMY keys, or else with DATASETS of which one is registered and has
            classes; the first of them counts.

    Returns:
        the taxonomy; None if nothing specifies it.

    Raises:
        UserError: if its specification is not a valid taxonomy.
    """
    keys = cfg.TAXONOMY
    if keys.CLASSES:
        try:
            return Taxonomy(
                tuple(keys.CLASSES),
                tuple(_rgb(color) for color in keys.COLORS),
                tuple(keys.GROUPS),
                keys.ONE_OBJECT_PER_CLASS,
            )
        except UserError as error:
            raise UserError(f"TAXONOMY of the configuration: {error}") from error
    for name in _registered(cfg):
        if taxonomy := _read_taxonomy(name):
            return taxonomy
    return None


def _registered(cfg: CfgNode) -> list[str]:
    """Return the data sets of a configuration that are registered here."""
    known = DatasetCatalog.list()
    return [name for name in (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST) if name in known]


def check_taxonomies(cfg: CfgNode) -> None:
    """Check that all data sets of a configuration number the same classes in the same way.

    Raises:
        UserError: if the classes of one are not those of the configuration, or of the first.
    """
    wanted = find_taxonomy(cfg)
    for name in _registered(cfg):
        found = _read_taxonomy(name)
        if found and wanted and found.thing_classes != wanted.thing_classes:
            source = "TAXONOMY.CLASSES" if cfg.TAXONOMY.CLASSES else "the first data set"
            raise UserError(
                f"data set {name} has {describe_classes(found)}, but {source} has "
                f"{describe_classes(wanted)}; use data sets with the same classes in the same "
                "order."
            )


def config_taxonomy(cfg: CfgNode) -> Taxonomy:
    """Return the taxonomy of a configuration, as :func:`find_taxonomy` does.

    Raises:
        UserError: if nothing specifies it.
    """
    taxonomy = find_taxonomy(cfg)
    if taxonomy is None:
        names = ", ".join((*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST)) or "none"
        raise UserError(
            "the classes are not known: TAXONOMY.CLASSES is empty, and none of the data sets "
            f"({names}) is registered with classes; register them, or give the config.yaml that "
            "the training wrote."
        )
    return taxonomy


def write_taxonomy(cfg: CfgNode) -> None:
    """Write the taxonomy of a configuration into its TAXONOMY keys, so that it needs no data set.

    If nothing specifies the classes, the configuration is not changed.
    """
    taxonomy = find_taxonomy(cfg)
    if taxonomy is None:
        return
    cfg.TAXONOMY.CLASSES = taxonomy.thing_classes
    cfg.TAXONOMY.COLORS = tuple(taxonomy.colors)
    cfg.TAXONOMY.GROUPS = taxonomy.groups
    cfg.TAXONOMY.ONE_OBJECT_PER_CLASS = taxonomy.one_object_per_class


def _rgb(color: Sequence[int]) -> tuple[int, int, int]:
    # Some data sets hold colors as floats or arrays; how many values there are is checked later.
    return cast(tuple[int, int, int], tuple(int(value) for value in color))


def describe_classes(taxonomy: Taxonomy) -> str:
    """Return the number and the first names of classes, for an error message."""
    names = taxonomy.thing_classes
    more = ", ..." if len(names) > _SHOWN else ""
    return f"{len(names)} object classes ({', '.join(names[:_SHOWN])}{more})"
