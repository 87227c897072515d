"""``vps-d2 recipe``, with a recipe of seconds."""

import json
from pathlib import Path

import pytest

from vps_d2.cli.recipe import main
from vps_d2.io.errors import UserError

TEXT = """
MAKES: [unet.pth]
STAGES:
  videos:
    COMMAND: make-synthetic --out {datasets}/vps --train 2 --height 32 --width 48 --workers 1
  train:
    COMMAND: >-
      train --config-file configs/instant_test/unet_instant_test.yaml --resume
      OUTPUT_DIR {out}/train
    MAKES: train/model_final.pth
    OPTS:
      DATASETS.TEST: ()
      TEST.EVALUATORS: ()
      TEST.PICTURE_PERIOD: 0
      MODEL.DEVICE: cpu
  label:
    COMMAND: label --input {real}/unlabeled
    ONLY_REAL: True
  export:
    COMMAND: export-weights --checkpoint {out}/train/model_final.pth --output {out}/unet.pth
    MAKES: unet.pth
"""


def test_a_recipe_runs_to_its_end_and_goes_on_where_it_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "out"
    recipe.write_text(TEXT)
    words = [str(recipe), "--out", str(out), "--datasets", str(tmp_path / "data")]
    main([*words, "--dry-run", "SOLVER.MAX_ITER", "2"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and lines[1].endswith("SOLVER.MAX_ITER 2") and not out.exists()
    with pytest.raises(UserError, match="stage export ended with exit status 1"):
        main([*words, "--stage", "export"])
    main([*words, "--stage", "videos"])
    main([*words, "SOLVER.MAX_ITER", "2"])
    assert (out / "unet.pth").is_file()
    record = json.loads((out / "recipe.json").read_text())
    assert record["real_videos"] == "none were used" and record["makes"] == ["unet.pth"]
    assert set(record["stages"]) == {"videos", "train", "export"}
    assert all(stage["seconds"] > 0 for stage in record["stages"].values())
    capsys.readouterr()
    main([*words, "SOLVER.MAX_ITER", "2"])
    printed = capsys.readouterr().out
    assert printed.count("finished before") == 3 and "label: left out" in printed
    with pytest.raises(UserError, match=r"stage train in .* was run with another recipe"):
        main(words)
    with pytest.raises(UserError, match="--stage is cook, which the recipe does not have"):
        main([*words, "--stage", "cook"])
