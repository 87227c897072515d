"""A whole pipeline as a predictor of frames, where elsewhere a single model is one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vps_d2.config.files import read_config_file
from vps_d2.config.pipeline import load_pipeline_config
from vps_d2.d2.config import CfgNode
from vps_d2.data.clips import ClipSpec
from vps_d2.data.mappers import to_tensor
from vps_d2.inference.future_masks import FutureMaskPredictor
from vps_d2.inference.hidden import run_fingerprint
from vps_d2.inference.models import LoadedModel, load_model
from vps_d2.io.errors import UserError


class PipelineFrames:
    """The frames of a pipeline, from the same inputs as those of a model for ``frames``.

    Args:
        cfg: of the pipeline.

    Raises:
        UserError: if a file of it is missing or wrong, or it predicts no frames.
    """

    def __init__(self, cfg: CfgNode) -> None:
        pipeline = FutureMaskPredictor.from_config(cfg)
        if pipeline.predictor is None:
            raise UserError(
                "the pipeline predicts no frames, as its PIPELINE.PREDICTOR is empty; use one with "
                "a predictor."
            )
        self.cfg = cfg
        self.clip: ClipSpec = pipeline.predictor.clip
        self._pipeline = pipeline

    def __call__(self, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Map ``"frames"``, uint8 ``(T_in, 3, H, W)``, to uint8 ``(T_out, 3, H, W)``."""
        videos = np.stack([video["frames"].cpu().numpy() for video in inputs])
        return [{"frames": to_tensor(each.frames)} for each in self._pipeline(videos)]

    def fingerprint(self) -> str:
        """Return all that the frames depend on besides the videos."""
        return run_fingerprint(self.cfg, self._pipeline)


def load_frame_predictor(
    config_file: str | Path, opts: Sequence[str] = ()
) -> LoadedModel | PipelineFrames:
    """Build what a configuration describes: a model that predicts frames, or a pipeline.

    Args:
        config_file: of the model's training, or of the pipeline.
        opts: keys and values that override the file.

    Raises:
        UserError: if a file is missing or wrong, or what it describes predicts no frames.
    """
    if "SEGMENTER" in read_config_file(config_file).get("PIPELINE", {}):
        return PipelineFrames(load_pipeline_config(config_file, opts))
    return load_model(config_file, opts, task="frames")
