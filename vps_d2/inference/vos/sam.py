"""Following objects with SAM 2.1 and EdgeTAM, models of the library transformers.

Nothing of these models is written here: the library's video session does the work. No code from a
checkpoint is run, and weights are read from safetensors files alone.

Shapes: ``H`` rows and ``W`` columns at the working size, ``K`` objects.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from vps_d2.inference.huggingface import find_license_note, load_whole
from vps_d2.inference.models import hash_model
from vps_d2.inference.vos.engine import VOSEngine
from vps_d2.inference.vos.engines import EngineOptions, register_vos_engine
from vps_d2.inference.vos.sam_prompts import SamMaskMaker
from vps_d2.io.errors import UserError
from vps_d2.modeling.vos.network import aggregate

__all__ = ["SamEngine", "make_edgetam_engine", "make_sam2_engine"]

SAM2_NAME = "facebook/sam2.1-hiera-tiny"
EDGETAM_NAME = "yonigozlan/EdgeTAM-hf"
_PROCESSOR = "Sam2VideoProcessor"  # of both
_KEPT = 8  # frames with known masks of an object that are not permanent


class SamEngine(VOSEngine):
    """Follows objects with a video session of transformers.

    What a session no longer looks at is dropped, so its memory does not grow with the video.

    Args:
        model: a ``Sam2VideoModel`` or ``EdgeTamVideoModel`` in inference mode.
        processor: its ``Sam2VideoProcessor``.
        source: see :class:`VOSEngine`.
        license_note: likewise.
    """

    def __init__(self, model: Any, processor: Any, source: str, license_note: str = "") -> None:
        self.source = source
        self.license_note = license_note
        self._model, self._processor = model, processor
        config = model.config
        self._reach = 1 + max(config.num_maskmem, config.max_object_pointers_in_encoder)
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._session = self._processor.init_video_session(
            inference_device=self._model.device, dtype=self._model.dtype
        )
        self._index = -1  # of the last frame; every frame that is taken in has its own
        self._picture: np.ndarray | None = None
        self._permanent: set[int] = set()

    @torch.inference_mode()
    def remember(self, picture: np.ndarray, object_map: np.ndarray, permanent: bool) -> None:
        """Take in a frame whose objects are known; see the base class."""
        found = np.unique(object_map)
        objects = sorted({*self._session.obj_ids, *found[found > 0].tolist()})
        if not objects:
            return
        self._take_known(picture)
        masks = [torch.from_numpy(object_map == number) for number in objects]
        self._processor.process_new_mask_for_video_frame(
            self._session, self._index, list(objects), masks
        )
        self._model(inference_session=self._session, frame_idx=self._index)
        if permanent:
            self._permanent.add(self._index)
        self._drop()

    @torch.inference_mode()
    def segment(self, picture: np.ndarray, objects: Sequence[int]) -> np.ndarray:
        """Find objects in the next frame; see the base class."""
        own = torch.zeros(len(objects), *picture.shape[:2])
        known = self._session.obj_ids
        if known:
            pixels = self._encode(picture)
            output = self._model(
                inference_session=self._session, frame=pixels, frame_idx=self._index
            )
            logits = F.interpolate(output.pred_masks.float(), picture.shape[:2], mode="bilinear")
            rows = {number: row for row, number in enumerate(output.object_ids)}
            for place, number in enumerate(objects):
                if number in rows:
                    own[place] = logits[rows[number], 0].sigmoid().cpu()
            self._drop()
        probabilities: np.ndarray = aggregate(own).softmax(0).numpy()
        return probabilities

    def forget_frames(self) -> None:
        """Forget frames that are not permanent, but the last in which an object was given."""
        for outputs in self._session.output_dict_per_obj.values():
            outputs["non_cond_frame_outputs"].clear()
            given = outputs["cond_frame_outputs"]
            kept = self._permanent & given.keys() or {max(given)}
            for index in given.keys() - kept:
                del given[index]
        for tracked in self._session.frames_tracked_per_obj.values():
            tracked.clear()

    def fingerprint(self) -> str:
        """Return a hash of weights and settings."""
        config = self._model.config.to_dict()
        config.pop("_name_or_path", None)
        settings = (self._processor.image_processor.to_json_string(), config)
        return hash_model(repr(settings), self._model)

    def _encode(self, picture: np.ndarray) -> torch.Tensor:
        """Give a picture the next index, and return the model's input for it."""
        self._index += 1
        self._picture = picture.copy()
        inputs = self._processor.image_processor(images=picture, return_tensors="pt")
        pixels: torch.Tensor = inputs.pixel_values[0].to(self._model.device, self._model.dtype)
        return pixels

    def _take_known(self, picture: np.ndarray) -> None:
        """Take in a picture for its masks; one that was just segmented is not encoded again."""
        session, last = self._session, self._index
        if self._picture is None or not np.array_equal(picture, self._picture):
            session.add_new_frame(self._encode(picture), self._index)
            return
        # With an index of its own, since a frame that was tracked never becomes a given one.
        self._index += 1
        session.add_new_frame(session.processed_frames[last], self._index)
        features = session.cache.get_vision_features(last)
        if features is not None:
            session.cache.cache_vision_features(self._index, features)
        for outputs in session.output_dict_per_obj.values():
            outputs["non_cond_frame_outputs"].pop(last, None)

    def _drop(self) -> None:
        """Drop what the model will not look at any more; the library keeps everything."""
        session = self._session
        oldest = self._index - self._reach
        for index in [number for number in session.processed_frames if number < self._index]:
            session.processed_frames[index] = None  # their number counts, so that they stay
        for index in [number for number in session.processed_frames if number < oldest]:
            del session.processed_frames[index]
        for outputs in session.output_dict_per_obj.values():
            for index in [each for each in outputs["non_cond_frame_outputs"] if each < oldest]:
                del outputs["non_cond_frame_outputs"][index]
            given = outputs["cond_frame_outputs"]
            for index in sorted(given.keys() - self._permanent)[:-_KEPT]:
                del given[index]
        for tracked in session.frames_tracked_per_obj.values():
            for index in [each for each in tracked if each < oldest]:
                del tracked[index]
        for masks in session.mask_inputs_per_obj.values():
            masks.clear()


@register_vos_engine("sam2")
def make_sam2_engine(options: EngineOptions) -> SamEngine:
    """Make the engine of SAM 2.1, by the name of a checkpoint or a folder after the colon."""
    return _make(options, "Sam2", SAM2_NAME)


@register_vos_engine("edgetam")
def make_edgetam_engine(options: EngineOptions) -> SamEngine:
    """Make the engine of EdgeTAM, by the name of a checkpoint or a folder after the colon."""
    return _make(options, "EdgeTam", EDGETAM_NAME)


def _make(options: EngineOptions, family: str, default: str) -> SamEngine:
    kind = f"{family}VideoModel"
    if options.config_file or options.opts:
        raise UserError(
            "a model of transformers has no configuration of vps_d2; leave out --config-file and "
            "keys, and name the checkpoint as in --engine sam2:NAME."
        )
    name = options.name or options.weights or default
    try:
        import transformers
    except ImportError as error:
        raise UserError(
            f"model {name} needs the library transformers; install it with pip install vps_d2[sam]."
        ) from error
    if not hasattr(transformers, kind):
        raise UserError(
            f"transformers {transformers.__version__} has no {kind}; install version 5 or later."
        )
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    with _sentences(name, kind):
        model = load_whole(getattr(transformers, kind), name, kind)
        processor = getattr(transformers, _PROCESSOR).from_pretrained(name)
    engine = SamEngine(model.to(device), processor, f"{kind} of {name}", find_license_note(name))
    engine.mask_maker = SamMaskMaker(
        model,
        getattr(transformers, f"{family}Model"),
        getattr(transformers, f"{family}Config"),
        processor.image_processor,
        f"prompts of {engine.source}",
        engine.license_note,
    )
    return engine


@contextmanager
def _sentences(name: str, kind: str) -> Iterator[None]:
    """Turn what the library raises for a checkpoint that it cannot load into a sentence."""
    try:
        yield
    except UserError:
        raise
    # It raises many kinds for files that are missing, damaged or not what they should be.
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        where = "" if Path(name).exists() else ", and the connection if it is on the hub"
        raise UserError(
            f"checkpoint {name} cannot be loaded as {kind} ({lines[0].rstrip('.:')[:200]}); check "
            f"its name{where}."
        ) from error
