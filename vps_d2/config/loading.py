"""From a YAML file and overrides to a configuration."""

import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from vps_d2.config.checks import check_values
from vps_d2.config.defaults import get_vps_cfg
from vps_d2.d2.config import CfgNode
from vps_d2.io.errors import UserError
from vps_d2.io.resources import config_path

# How a value of each type is written.
_KINDS = {
    "int": "a whole number",
    "float": "a number with a point, such as 1.0",
    "bool": "True or False",
    "str": 'text, such as "{}"',
    "tuple": "a tuple, such as ({},)",
    "list": "a list, such as [{}]",
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
        UserError: if the file, or one that it builds on, is missing or no table in YAML, or if a
            key is unknown or has a value of the wrong type or out of its range.
    """
    cfg = get_vps_cfg()
    if config_file:
        config_file = config_path(config_file)
        if not Path(config_file).is_file():
            raise UserError(f"config file {config_file} does not exist; check --config-file.")
        try:
            _check_file(Path(config_file))
            # Detectron2 would by default run the code that a YAML's tags name.
            cfg.merge_from_file(str(config_file), allow_unsafe=False)
        except UserError:
            raise
        except OSError as error:
            raise UserError(
                f"config file {error.filename}, which {config_file} builds on, cannot be read; "
                "check its _BASE_."
            ) from error
        except (KeyError, TypeError, ValueError, AssertionError, yaml.YAMLError) as error:
            raise UserError(f"config file {config_file}: {_words(error)}.") from error
    merge_opts(cfg, opts)
    return cfg


def _check_file(path: Path, above: Sequence[Path] = ()) -> None:
    """Check that a file is a table, and so are all that it builds on, of which it is none."""
    if path.resolve() in above:
        raise UserError(f"config file {path} builds on itself; change the _BASE_ in it.")
    with path.open(encoding="utf-8") as file:
        content = yaml.safe_load(file)
    if not isinstance(content, dict):
        raise UserError(f"config file {path} holds no keys; write them as KEY: VALUE in YAML.")
    bases = content.get("_BASE_", [])
    for base in bases if isinstance(bases, list) else [bases]:
        if not isinstance(base, str):
            raise UserError(f"config file {path}: _BASE_ is {base}; give the path of a file.")
        if "://" not in base:
            _check_file(path.parent / Path(base).expanduser(), (*above, path.resolve()))


def merge_opts(cfg: CfgNode, opts: Sequence[str]) -> None:
    """Override keys of a configuration in place, and check its values.

    Args:
        cfg: not frozen.
        opts: keys and values in turn.

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


def _words(error: Exception) -> str:
    # A KeyError shows its message in quotes.
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    text = " ".join(text.split())
    mismatch = _MISMATCH.fullmatch(text)
    if mismatch:
        wanted, given, value, key = mismatch.groups()
        example = f'"{value}"' if given == "str" else value
        kind = _KINDS.get(wanted, "keys of its own, each with a value").format(example)
        return f"{key} is {value}, but wants {kind}"
    if isinstance(error, TypeError):
        return f"a key is unknown ({text})"
    return text.rstrip(".")
