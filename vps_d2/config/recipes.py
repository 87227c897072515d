"""Recipes: how shipped weights are made, as stages of this project's own commands.

A recipe is a YAML file; ``_BASE_`` works as in configurations, so recipes share stages::

    MAKES: [unet.pth]                   # of the output folder
    STAGES:
      train:                            # the name of a stage; they run in this order
        COMMAND: train --config-file configs/unet/unet_frames.yaml --resume
        OPTS: {SOLVER.MAX_ITER: 9000}   # keys of the configuration, added to the command
        REAL_OPTS: {DATASETS.REPEATS: "(1, 75)"}   # others, added if there are real videos
        MAKES: train/model_final.pth    # of the output folder; shows that the stage is finished
        ONLY_REAL: False                # whether it is left out without real videos

In a command and its values, ``{out}``, ``{datasets}`` and ``{real}`` stand for the folders.
"""

import hashlib
import json
import os
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vps_d2.config.files import read_config_file
from vps_d2.io.errors import UserError
from vps_d2.io.files import read_json, write_json
from vps_d2.io.resources import REAL_VIDEOS_VARIABLE

__all__ = ["Recipe", "RecipeRun", "Stage", "read_recipe"]

RESULT_FILE = "recipe.json"
_FOLDERS = ("out", "datasets", "real")
_KEYS = {"COMMAND": str, "OPTS": dict, "REAL_OPTS": dict, "MAKES": str, "ONLY_REAL": bool}


@dataclass(frozen=True)
class Stage:
    """One command of a recipe.

    Args:
        name: of the stage.
        command: words of the command after ``vps-d2``.
        opts: keys and values of the configuration.
        real_opts: further ones if there are real videos.
        makes: file in the output folder that shows that it is finished; "" if the command itself
            knows.
        only_real: leave it out without real videos.
    """

    name: str
    command: tuple[str, ...]
    opts: Mapping[str, Any]
    real_opts: Mapping[str, Any]
    makes: str = ""
    only_real: bool = False


@dataclass(frozen=True)
class Recipe:
    """The stages that make some weights.

    Args:
        makes: the weights, files of the output folder.
        stages: in order.
    """

    makes: tuple[str, ...]
    stages: tuple[Stage, ...]


def read_recipe(path: str | Path) -> Recipe:
    """Read a recipe.

    Args:
        path: of a YAML file, or the name of a shipped one.

    Raises:
        UserError: if the file cannot be read or does not have this form.
    """
    table = read_config_file(path)
    stages, makes = table.get("STAGES"), table.get("MAKES")
    if not isinstance(stages, dict) or not stages or set(table) != {"STAGES", "MAKES"}:
        raise UserError(f"{path} is no recipe; give it a table STAGES and a list MAKES, no more.")
    if not isinstance(makes, list) or not all(isinstance(name, str) for name in makes):
        raise UserError(f"{path}: MAKES must be a list of file names; correct it.")
    return Recipe(tuple(makes), tuple(_read_stage(path, *each) for each in stages.items()))


def _read_stage(path: str | Path, name: str, keys: Any) -> Stage:
    if not isinstance(keys, dict) or not keys.get("COMMAND"):
        raise UserError(f"{path}: stage {name} has no COMMAND; add one, such as train.")
    for key, value in keys.items():
        if key not in _KEYS or not isinstance(value, _KEYS[key]):
            known = ", ".join(f"{key} ({kind.__name__})" for key, kind in _KEYS.items())
            raise UserError(f"{path}: stage {name} has {key} {value!r:.60}; use some of {known}.")
    return Stage(
        name,
        tuple(shlex.split(keys["COMMAND"])),
        keys.get("OPTS", {}),
        keys.get("REAL_OPTS", {}),
        keys.get("MAKES", ""),
        keys.get("ONLY_REAL", False),
    )


class RecipeRun:
    """A recipe in an output folder, and what of it is finished.

    Args:
        recipe: that is run.
        out: output folder.
        datasets: folder of the data sets.
        real: folder of real videos; None for none.
        overrides: keys and values for the stages that train.

    Raises:
        UserError: if the folder of real videos has no ``train``, or the record in the output folder
            cannot be read.
    """

    def __init__(
        self,
        recipe: Recipe,
        out: Path,
        *,
        datasets: Path,
        real: Path | None = None,
        overrides: Sequence[str] = (),
    ) -> None:
        if real is not None and not (real / "train").is_dir():
            raise UserError(
                f"--real {real} has no folder train; give the one that holds train/ and unlabeled/."
            )
        self.recipe, self.out, self.overrides = recipe, out, tuple(overrides)
        self.folders = {"out": out, "datasets": datasets, "real": real}
        self._stamps: dict[str, dict[str, Any]] = self._read()

    def takes_part(self, stage: Stage) -> bool:
        """Return whether a stage is run at all, with the videos that there are."""
        return self.folders["real"] is not None or not stage.only_real

    def words(self, stage: Stage) -> list[str]:
        """Return the words of a stage's command, after ``vps-d2``."""
        words = list(stage.command)
        opts = dict(stage.opts)
        if self.folders["real"] is not None:
            opts.update(stage.real_opts)
        for key, value in opts.items():
            words += [key, str(value)]
        if stage.command[0] == "train":
            words += self.overrides
        return [self._fill(word) for word in words]

    def environment(self) -> dict[str, str]:
        """Return the environment variables of all commands."""
        found = {**os.environ, "DETECTRON2_DATASETS": str(self.folders["datasets"])}
        if self.folders["real"] is not None:
            found[REAL_VIDEOS_VARIABLE] = str(self.folders["real"])
        return found

    def is_done(self, stage: Stage) -> bool:
        """Return whether a stage is finished.

        Raises:
            UserError: if it was begun with another recipe or other settings.
        """
        stamp = self._stamps.get(stage.name)
        if stamp is None:
            return False
        if stamp.get("fingerprint") != self._fingerprint(stage):
            raise UserError(
                f"stage {stage.name} in {self.out} was run with another recipe or other settings; "
                "choose another --out, or remove what it made and its entry in "
                f"{self.out / RESULT_FILE}."
            )
        return "seconds" in stamp or bool(stage.makes and (self.out / stage.makes).is_file())

    @contextmanager
    def recorded(self, stage: Stage) -> Iterator[None]:
        """Record that a stage begins, and, if no error comes, that it is finished."""
        stamp: dict[str, Any] = {
            "fingerprint": self._fingerprint(stage),
            "command": shlex.join(["vps-d2", *self.words(stage)]),
        }
        self._stamps[stage.name] = stamp
        self._write()
        begin = time.monotonic()
        yield
        stamp["seconds"] = round(time.monotonic() - begin, 1)
        self._write()

    def _fill(self, word: str) -> str:
        for name in _FOLDERS:
            word = word.replace(f"{{{name}}}", str(self.folders[name]))
        return word

    def _fingerprint(self, stage: Stage) -> str:
        """Return a number for all that settles what a stage does."""
        text = json.dumps(self.words(stage))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _read(self) -> dict[str, dict[str, Any]]:
        path = self.out / RESULT_FILE
        if not path.exists():
            return {}
        try:
            stamps: dict[str, dict[str, Any]] = dict(read_json(path)["stages"])
        except (OSError, ValueError, TypeError, LookupError) as error:
            raise UserError(f"{path} is not the record of a recipe; remove it.") from error
        return stamps

    def _write(self) -> None:
        real = self.folders["real"]
        content = {
            "makes": list(self.recipe.makes),
            "real_videos": "none were used" if real is None else str(real),
            "stages": self._stamps,
        }
        write_json(self.out / RESULT_FILE, content)
