"""Recipes: what they say, and what of them is finished."""

from pathlib import Path

import pytest

from tests.helpers import ROOT
from vps_d2.cli.main import COMMANDS
from vps_d2.config.loading import load_config
from vps_d2.config.recipes import RecipeRun, read_recipe
from vps_d2.io.errors import UserError
from vps_d2.io.resources import local_path

RECIPES = sorted((ROOT / "configs" / "recipes").glob("*.yaml"))
WEIGHTS = ("unet", "mask_rcnn", "simvp", "mask_simvp", "reconstructor", "object_dynamics")
TEXT = """
MAKES: [one.pth]
STAGES:
  first:
    COMMAND: make-synthetic --out {datasets}/vps
  second:
    COMMAND: train --resume OUTPUT_DIR {out}/second
    OPTS:
      SOLVER.MAX_ITER: 3
      DATASETS.TRAIN: ("a",)
    REAL_OPTS:
      DATASETS.TRAIN: ("a", "b")
    MAKES: second/model_final.pth
  third:
    COMMAND: label --input {real}/unlabeled
    ONLY_REAL: True
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "recipe.yaml").write_text(TEXT)
    (tmp_path / "real" / "train").mkdir(parents=True)
    return tmp_path / "recipe.yaml"


def make_run(path: Path, real: bool = False, overrides: tuple[str, ...] = ()) -> RecipeRun:
    folder = path.parent
    return RecipeRun(
        read_recipe(path),
        folder / "out",
        datasets=folder / "data",
        real=folder / "real" if real else None,
        overrides=overrides,
    )


def test_every_shipped_weight_has_a_recipe_of_known_commands_and_keys(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    made: set[str] = set()
    for file in RECIPES:
        recipe = read_recipe(file)
        made |= set(recipe.makes)
        for real in (None, tmp_path):
            run = RecipeRun(recipe, tmp_path / "out", datasets=tmp_path, real=real)
            for stage in filter(run.takes_part, recipe.stages):
                command, *words = run.words(stage)
                assert command in COMMANDS and not any("{" in word for word in words)
                if command == "train":
                    load_config(words[1], words[3:])  # the words after --config-file FILE --resume
        assert all(any(name in stage.makes for stage in recipe.stages) for name in recipe.makes)
    assert made == {f"{name}.pth" for name in WEIGHTS}
    assert all(Path(local_path(f"package://{name}")).is_file() for name in made)


def test_words_follow_the_videos_and_the_overrides(path: Path) -> None:
    run = make_run(path, overrides=("SEED", "4"))
    first, second, third = run.recipe.stages
    assert run.words(first) == ["make-synthetic", "--out", str(path.parent / "data/vps")]
    assert run.words(second)[-6:] == [
        *("SOLVER.MAX_ITER", "3", "DATASETS.TRAIN", '("a",)'),
        *("SEED", "4"),
    ]
    assert run.takes_part(second) and not run.takes_part(third)
    real = make_run(path, real=True)
    assert real.words(second)[-1] == '("a", "b")' and real.takes_part(third)
    assert real.words(third)[-1] == str(path.parent / "real/unlabeled")
    assert real.environment()["VPS_D2_REAL_VIDEOS"] == str(path.parent / "real")


def test_a_finished_stage_is_known_until_the_recipe_changes(path: Path) -> None:
    run = make_run(path)
    first, second, _ = run.recipe.stages
    assert not run.is_done(first)
    run.out.mkdir()
    with run.recorded(first):
        pass
    assert make_run(path).is_done(first)
    with pytest.raises(RuntimeError), run.recorded(second):
        raise RuntimeError
    assert not make_run(path).is_done(second)
    # It was killed after its work, and before that was recorded.
    (path.parent / "out/second").mkdir()
    (path.parent / "out/second/model_final.pth").touch()
    assert make_run(path).is_done(second)
    with pytest.raises(UserError, match=r"stage second in .* was run with another recipe"):
        make_run(path, real=True).is_done(second)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A: 1", "is no recipe"),
        ("STAGES: {a: {COMMAND: x}}\nMAKES: 3", "MAKES must be a list"),
        ("STAGES: {a: {OPTS: {}}}\nMAKES: []", "stage a has no COMMAND"),
        ("STAGES: {a: {COMMAND: x, HURRY: 1}}\nMAKES: []", "stage a has HURRY 1; use some of"),
        ("STAGES: {a: {COMMAND: x, OPTS: 5}}\nMAKES: []", "stage a has OPTS 5"),
    ],
)
def test_what_is_no_recipe_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(UserError, match=words):
        read_recipe(tmp_path / "recipe.yaml")


def test_a_wrong_folder_or_record_is_refused(path: Path) -> None:
    with pytest.raises(UserError, match="has no folder train"):
        RecipeRun(read_recipe(path), path.parent, datasets=path.parent, real=path.parent / "out")
    (path.parent / "out").mkdir()
    (path.parent / "out/recipe.json").write_text("[]")
    with pytest.raises(UserError, match="is not the record of a recipe"):
        make_run(path)
