"""Make shipped weights again: run the stages of a recipe one after the other."""

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vps_d2.cli.arguments import CommandParser
from vps_d2.io.errors import UserError
from vps_d2.io.escape import print_line

if TYPE_CHECKING:
    from vps_d2.config.recipes import Recipe, Stage

EPILOG = """examples:
  vps-d2 recipe configs/recipes/unet.yaml --out output/recipes/unet
  vps-d2 recipe configs/recipes/unet.yaml --out output/recipes/unet --dry-run
  vps-d2 recipe configs/recipes/unet.yaml --out output/recipes/unet --real real_videos \\
      --stage train SOLVER.IMS_PER_BATCH 16

A stage that is finished is skipped, so after an interruption the same command goes on. recipe.json
in the output folder says what ran, how long it took, and which real videos were used.
"""


def parse_args(argv: Sequence[str] | None, prog: str | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(prog, __doc__, EPILOG)
    add = parser.add_argument
    add("recipe", metavar="FILE", help="recipe, YAML, such as configs/recipes/unet.yaml")
    add("--out", type=Path, required=True, metavar="DIR", help="folder for runs and weights")
    add(
        "--datasets",
        type=Path,
        default=Path(os.environ.get("DETECTRON2_DATASETS", "datasets")),
        metavar="DIR",
        help="folder of data sets (default: $DETECTRON2_DATASETS, else datasets)",
    )
    add(
        "--real",
        type=Path,
        metavar="DIR",
        help="folder of real videos, train/ with masks and unlabeled/ (default: none are used)",
    )
    add("--stage", metavar="NAME", help="run only this stage")
    add("--dry-run", action="store_true", help="print the commands, and run none")
    parser.add_overrides("config keys to override in all stages that train")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Run a recipe.

    Args:
        argv: arguments; None for those of the command line.
        prog: how the command was called; None for the name of the script.

    Raises:
        UserError: if the recipe is wrong, a stage fails, or what is in the output folder was made
            with another recipe.
    """
    args = parse_args(argv, prog)

    from vps_d2.config.recipes import RecipeRun, read_recipe
    from vps_d2.io.folders import claim_folder

    recipe = read_recipe(args.recipe)
    stages = _choose(recipe, args.stage)
    run = RecipeRun(
        recipe, args.out, datasets=args.datasets, real=args.real, overrides=tuple(args.opts)
    )
    if args.dry_run:
        for stage in stages:
            if run.takes_part(stage):
                print_line(f"vps-d2 {shlex.join(run.words(stage))}")
        return
    with claim_folder(args.out):
        for number, stage in enumerate(stages, 1):
            label = f"[{number}/{len(stages)}] {stage.name}"
            if not run.takes_part(stage):
                print_line(f"{label}: left out, as it takes real videos (--real)")
            elif run.is_done(stage):
                print_line(f"{label}: finished before")
            else:
                print_line(f"{label}: vps-d2 {shlex.join(run.words(stage))}")
                with run.recorded(stage):
                    _call(stage.name, run.words(stage), run.environment())
    print_line(f"{args.out}: {', '.join(recipe.makes)}")


def _choose(recipe: "Recipe", name: str | None) -> "list[Stage]":
    stages = [stage for stage in recipe.stages if name in (None, stage.name)]
    if not stages:
        names = ", ".join(stage.name for stage in recipe.stages)
        raise UserError(f"--stage is {name}, which the recipe does not have; give one of {names}.")
    return stages


def _call(name: str, words: Sequence[str], environment: dict[str, str]) -> None:
    """Run a command in a process of its own, which shares the terminal."""
    done = subprocess.run([sys.executable, "-m", "vps_d2", *words], env=environment, check=False)
    if done.returncode:
        raise UserError(
            f"stage {name} ended with exit status {done.returncode}, for the reason above; once "
            "that is settled, the same command goes on with it."
        )
