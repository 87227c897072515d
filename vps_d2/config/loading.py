"""From a YAML file and overrides to a configuration."""

import re
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

from vps_d2.config.checks import check_values
from vps_d2.config.defaults import get_vps_cfg
from vps_d2.config.files import read_config_file
from vps_d2.d2.config import CfgNode
from vps_d2.io.download import allow_address, is_address
from vps_d2.io.errors import UserError

# What to write for each type of value.
_KINDS = {
    "int": "a whole number",
    "float": "a number with a point, such as 1.0",
    "bool": "True or False",
    "str": 'text, such as "{}"',
    "tuple": "a tuple, such as ({},)",
    "list": "a list, such as [{}]",
}
_WEIGHTS = {
    "MODEL.WEIGHTS",
    "MODEL.VOS.FUSER",
    "MODEL.FUSION.PROPAGATION",
    *(f"PIPELINE.{model}.WEIGHTS" for model in ("PREDICTOR", "SEGMENTER", "MASK_PREDICTOR")),
}
_MISMATCH = re.compile(
    r"Type mismatch \(<class '(.+?)'> vs\. <class '(.+?)'>\) "
    r"with values \(.* vs\. (.*)\) for config key: (\S+)"
)


def load_config(config_file: str | Path = "", opts: Sequence[str] = ()) -> CfgNode:
    """Read a configuration.

    Args:
        config_file: a YAML file, or the name of a shipped one, such as
            ``package://configs/demo.yaml``; "" for the defaults.
        opts: keys and values in turn, which override the file.

    Returns:
        the configuration, not frozen.

    Raises:
        UserError: if the file, or one that it builds on, cannot be read (see
            :func:`~vps_d2.config.files.read_config_file`), or if a key is unknown or has a value
            of the wrong type or out of its range.
    """
    table = read_config_file(config_file) if config_file else {}
    return build_config(table, config_file, opts)


def build_config(
    table: dict[str, Any], config_file: str | Path = "", opts: Sequence[str] = ()
) -> CfgNode:
    """Build a configuration from a table that has been read.

    Args:
        table: from :func:`~vps_d2.config.files.read_config_file`.
        config_file: the file that it was read from, for error messages.
        opts: keys and values in turn, which override the table.

    Returns:
        the configuration, not frozen.

    Raises:
        UserError: if a key is unknown or has a value of the wrong type or out of its range.
    """
    cfg = get_vps_cfg()
    try:
        if table.get("VERSION", cfg.VERSION) == cfg.VERSION:
            cfg.merge_from_other_cfg(CfgNode(table))
        else:  # Detectron2 converts a file of an older version, or says that it cannot
            cfg.merge_from_file(str(config_file), allow_unsafe=False)
    except (KeyError, TypeError, ValueError, AssertionError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"config file {config_file}: {_words(error)}.") from error
    merge_opts(cfg, opts)
    return cfg


def merge_opts(cfg: CfgNode, opts: Sequence[str]) -> None:
    """Override keys of a configuration in place, and check its values.

    Args:
        cfg: not frozen.
        opts: keys and values in turn, from the user; unlike in a file, URLs of weights in them may
            be downloaded.

    Raises:
        UserError: if a key is unknown, or a value is of the wrong type or out of its range.
    """
    try:
        cfg.merge_from_list(list(opts))
    except ValueError as error:
        raise UserError(f"command line: {_words(error)}.") from error
    except (KeyError, TypeError, AssertionError) as error:
        raise UserError(
            f"command line: {_words(error)}; overrides are written as KEY VALUE KEY VALUE."
        ) from error
    check_values(cfg)
    for key, value in zip(opts[::2], opts[1::2], strict=True):
        if key in _WEIGHTS and is_address(str(value)):
            allow_address(attrgetter(key)(cfg))


def _words(error: Exception) -> str:
    # A KeyError shows its message in quotes.
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    text = " ".join(text.split())
    mismatch = _MISMATCH.fullmatch(text)
    if mismatch:
        wanted, given, value, key = mismatch.groups()
        example = f'"{value}"' if given == "str" else value
        kind = _KINDS.get(wanted, "a section of keys and values").format(example)
        return f"{key} is {value}, but must be {kind}"
    if isinstance(error, TypeError):
        return f"a key is unknown ({text})"
    return text.rstrip(".")
