"""Instances found by models of the library transformers, from a folder or the Hugging Face hub.

No code from a checkpoint is run: weights are read from safetensors files alone, and the model's
code is that of the library.

Shapes: ``N`` frames, ``Q`` queries, ``C`` classes, ``K`` instances, ``H`` rows, ``W`` columns.
"""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from vps_d2.config.files import parse_yaml
from vps_d2.d2.structures import Instances
from vps_d2.data.taxonomy import Taxonomy
from vps_d2.inference.instance_models import InstanceModel, make_instances
from vps_d2.inference.models import hash_model
from vps_d2.io.errors import UserError
from vps_d2.io.files import open_regular

__all__ = ["PromptedModel", "QueryModel", "load_hugging_face_model"]

_CARD = "README.md"
_CARD_BYTES = 1_000_000
_GPU_BATCH = 4
# Conditioning frames of an object that are remembered, besides what the model looks at.
_KEPT_CONDITIONING = 16


def load_hugging_face_model(
    name: str,
    texts: Sequence[str] = (),
    *,
    device: str = "cpu",
    threshold: float = 0.5,
    short_side: int | None = None,
) -> InstanceModel:
    """Load a checkpoint of transformers.

    Args:
        name: a folder, or a name on the Hugging Face hub, from which the library downloads it.
        texts: prompts for a promptable video model; () for an instance segmenter.
        device: that computes.
        threshold: instances with a lower score are left out.
        short_side: pixels of the shorter side of a segmenter's input; None for as in its training.

    Raises:
        UserError: if transformers is missing, or the checkpoint is, or is of another kind of model,
            or lacks weights.
    """
    try:
        import transformers
    except ImportError as error:
        raise UserError(
            f"model hf:{name} needs the library transformers; install it with "
            "pip install vps_d2[hf]."
        ) from error
    transformers.utils.logging.set_verbosity_error()
    if texts and not hasattr(transformers, "Sam3VideoModel"):
        raise UserError(
            f"transformers {transformers.__version__} has no promptable video model; install "
            "version 5 or later."
        )
    made: InstanceModel
    with _sentences(name):
        if texts:
            _check_kind(name, "sam3_video")
            model = load_whole(transformers.Sam3VideoModel, name, "a SAM 3 video model").to(device)
            processor = transformers.Sam3VideoProcessor.from_pretrained(name)
            made = PromptedModel(model, processor, texts, threshold=threshold)
        else:
            kind = transformers.AutoModelForUniversalSegmentation
            model = load_whole(kind, name, "an instance segmenter").to(device)
            processor = transformers.AutoImageProcessor.from_pretrained(name)
            made = QueryModel(model, processor, threshold=threshold, short_side=short_side)
    made.source = f"{type(model).__name__} of {name}"
    made.license_note = find_license_note(name)
    return made


def load_whole(kind: Any, name: str, wanted: str) -> Any:
    """Load a model in inference mode, of which all weights are in the checkpoint.

    Args:
        kind: class of transformers.
        name: a folder, or a name on the hub.
        wanted: what a checkpoint of that kind is, for the error.

    Raises:
        UserError: if a weight is missing, or has another shape.
    """
    model, report = kind.from_pretrained(
        name, use_safetensors=True, trust_remote_code=False, output_loading_info=True
    )
    lacking = sorted({*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])})
    if lacking:
        more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        raise UserError(
            f"checkpoint {name} does not hold all weights of the model: it lacks {lacking[0]}"
            f"{more}; give a checkpoint of {wanted}."
        )
    return model.eval()


def _check_kind(name: str, wanted: str) -> None:
    """Check the kind of model that the configuration of a checkpoint names."""
    import transformers

    found = transformers.AutoConfig.from_pretrained(name, trust_remote_code=False).model_type
    if found != wanted:
        raise UserError(
            f"checkpoint {name} is a {found} model, which takes no text prompt; give one of the "
            f"kind {wanted}, or leave the text out."
        )


@contextmanager
def _sentences(name: str) -> Iterator[None]:
    """Turn what the library raises for a checkpoint that it cannot load into a sentence."""
    try:
        yield
    except UserError:
        raise
    except OSError as error:  # also without a network
        where = "" if Path(name).exists() else ", and the connection if it is on the hub"
        raise UserError(
            f"checkpoint {name} of transformers cannot be loaded ({_first_line(error)}); check its "
            f"name{where}."
        ) from error
    # It raises many kinds for files that are damaged or not what they should be.
    except Exception as error:
        raise UserError(
            f"checkpoint {name} is not one that transformers can load as this kind of model "
            f"({_first_line(error)}); give an instance segmenter, such as Mask2Former, or with a "
            "text prompt a SAM 3 video model."
        ) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".:").strip()[:200]


def find_license_note(name: str) -> str:
    """Return a sentence about the license of a checkpoint, which its model card states.

    Args:
        name: a folder, or a name on the hub; of the latter the card is downloaded.
    """
    text = _read_card(name)
    license_name = ""
    if text.startswith("---"):
        try:  # within limits, as a card can come from anybody
            table = parse_yaml(text.split("---", 2)[1].encode(), _CARD)
        except UserError:
            table = None
        if isinstance(table, dict):
            named = table.get("license_name") if table.get("license") == "other" else None
            license_name = " ".join(str(named or table.get("license") or "").split())[:100]
    if not license_name:
        return f"Checkpoint {name} states no license; check that you may use it."
    return (
        f'The license of checkpoint {name} is "{license_name}"; check that it allows your use of '
        "the weights."
    )


def _read_card(name: str) -> str:
    """Return the model card of a checkpoint, "" if there is none."""
    path: str | Path = Path(name, _CARD)
    if not Path(name).is_dir():
        from huggingface_hub import hf_hub_download

        try:
            path = hf_hub_download(name, _CARD)
        # The license is only a note: without a network, or for a name that is none, there is none.
        except Exception:
            return ""
    try:
        with open_regular(path) as file:
            return str(file.read(_CARD_BYTES).decode("utf-8", "replace"))
    except OSError:
        return ""


def _name_classes(names: dict[int, str]) -> Taxonomy:
    """Return the classes of a checkpoint, whose names may repeat."""
    seen: dict[str, int] = {}
    unique = []
    for label in range(max(names) + 1 if names else 0):
        name = str(names.get(label, f"class {label + 1}")).strip()
        seen[name] = seen.get(name, 0) + 1
        taken = seen[name] > 1 or name == "background"
        unique.append(f"{name} ({label})" if taken else name)
    return Taxonomy(tuple(unique))


class QueryModel(InstanceModel):
    """An instance segmenter whose queries each give classes and a mask, such as Mask2Former.

    Args:
        model: of ``AutoModelForUniversalSegmentation``, in inference mode.
        processor: of ``AutoImageProcessor``.
        threshold: instances with a lower score are left out.
        short_side: pixels of the shorter side of the model's input; None for as in its training.

    Raises:
        UserError: if the model needs more than frames.
    """

    def __init__(
        self, model: Any, processor: Any, *, threshold: float, short_side: int | None = None
    ) -> None:
        needed = set(inspect.signature(model.forward).parameters) & {"task_inputs", "text_inputs"}
        if needed:
            raise UserError(
                f"a {model.config.model_type} model needs {needed.pop()} besides frames, which "
                "vps_d2 does not give; use a segmenter such as Mask2Former."
            )
        self.model = model
        self.processor = processor
        self.threshold = threshold
        self.taxonomy = _name_classes(dict(model.config.id2label))
        self.batch_size = 1 if model.device.type == "cpu" else _GPU_BATCH
        self._settings: dict[str, Any] = {}
        if short_side:
            longest = max(short_side, round(short_side * 1333 / 800))
            self._settings = {"size": {"shortest_edge": short_side, "longest_edge": longest}}

    @torch.inference_mode()
    def __call__(self, frames: np.ndarray) -> list[Instances]:
        """Find the instances in frames uint8 RGB ``(N, H, W, 3)``."""
        size = (frames.shape[1], frames.shape[2])
        inputs = self.processor(images=list(frames), return_tensors="pt", **self._settings)
        names = inspect.signature(self.model.forward).parameters
        tensors = {
            key: value.to(self.model.device)
            for key, value in inputs.items()
            if key in names and isinstance(value, torch.Tensor)
        }
        output = self.model(**tensors)
        # Such a processor pads frames, and undoes it itself.
        if hasattr(self.processor, "unpad_image"):
            return self._of_processor(output, len(frames), size)
        pairs = zip(output.class_queries_logits, output.masks_queries_logits, strict=True)
        return [self._of_queries(classes, masks, size) for classes, masks in pairs]

    def _of_queries(
        self, classes: torch.Tensor, masks: torch.Tensor, size: tuple[int, int]
    ) -> Instances:
        """Return the instances of a frame.

        The library does the same, but draws masks of 384 x 384 pixels, and of all queries.

        Args:
            classes: logits ``(Q, C + 1)``, the last for no object.
            masks: logits ``(Q, H / 4, W / 4)``.
            size: rows and columns of the frame.
        """
        probabilities = classes.float().softmax(-1)[:, :-1]
        scores, flat = probabilities.flatten().topk(len(masks))
        kept = scores >= self.threshold  # the score of the mask only lowers it
        scores, flat = scores[kept], flat[kept]
        chosen = masks[flat // probabilities.shape[1]].float()
        inside = chosen > 0
        certainty = (chosen.sigmoid() * inside).flatten(1).sum(1)
        certainty = certainty / inside.flatten(1).sum(1).clamp(min=1)
        scores = scores * certainty
        kept = scores >= self.threshold
        drawn = torch.zeros(int(kept.sum()), *size, dtype=torch.bool)
        # Mask by mask: those of a large frame in single precision take much memory.
        for mask, logits in zip(drawn, chosen[kept], strict=True):
            mask[:] = F.interpolate(logits[None, None], size, mode="bilinear")[0, 0] > 0
        labels = (flat % probabilities.shape[1])[kept]
        return make_instances(size, drawn, labels.cpu(), scores[kept].cpu(), self.threshold)

    def _of_processor(self, output: Any, count: int, size: tuple[int, int]) -> list[Instances]:
        """Return the instances that the processor of the library finds."""
        results = self.processor.post_process_instance_segmentation(
            output, target_sizes=[size] * count, threshold=self.threshold
        )
        found = []
        for result in results:
            segments = result["segments_info"]
            drawn = torch.zeros(len(segments), *size, dtype=torch.bool)
            for mask, segment in zip(drawn, segments, strict=True):
                mask[:] = result["segmentation"] == segment["id"]
            labels = torch.tensor([each["label_id"] for each in segments], dtype=torch.int64)
            scores = torch.tensor([each["score"] for each in segments], dtype=torch.float32)
            found.append(make_instances(size, drawn, labels, scores, self.threshold))
        return found

    def fingerprint(self) -> str:
        """Return a hash of weights and settings."""
        settings = (self.processor.to_json_string(), self._settings, self.threshold)
        return hash_model(repr(settings), self.model)


class PromptedModel(InstanceModel):
    """A promptable video model (SAM 3), which finds and tracks what texts describe.

    Frames are taken one by one, and what the model no longer looks at is forgotten, so memory does
    not grow with the video.

    Args:
        model: a ``Sam3VideoModel`` in inference mode.
        processor: its ``Sam3VideoProcessor``.
        texts: what to look for; each is a class.
        threshold: instances with a lower score are left out.
    """

    tracks = True

    def __init__(
        self, model: Any, processor: Any, texts: Sequence[str], *, threshold: float
    ) -> None:
        self.model = model
        self.processor = processor
        self.texts = tuple(texts)
        self.threshold = threshold
        self.taxonomy = Taxonomy(self.texts)
        tracker = model.config.tracker_config
        self._memory = 1 + max(tracker.num_maskmem, tracker.max_object_pointers_in_encoder)
        self._conditioning = max(_KEPT_CONDITIONING, tracker.max_cond_frame_num)
        self.reset()

    def reset(self) -> None:
        """Start with another video."""
        self._session = self.processor.init_video_session(
            inference_device=self.model.device, dtype=self.model.dtype
        )
        self.processor.add_text_prompt(self._session, list(self.texts))
        self._index = 0

    @torch.inference_mode()
    def __call__(self, frames: np.ndarray) -> list[Instances]:
        """Find the objects in the next frames of the video, uint8 RGB ``(N, H, W, 3)``."""
        return [self._step(frame) for frame in frames]

    def _step(self, frame: np.ndarray) -> Instances:
        inputs = self.processor(images=frame, return_tensors="pt")
        output = self.model(
            inference_session=self._session,
            frame=inputs.pixel_values[0].to(self.model.device),
            frame_idx=self._index,
        )
        found = self.processor.postprocess_outputs(
            self._session, output, original_sizes=inputs.original_sizes
        )
        ids = found["object_ids"].cpu()
        prompts = [self._session.obj_id_to_prompt_id[number] for number in ids.tolist()]
        self._forget(self._index)
        self._index += 1
        return make_instances(
            (frame.shape[0], frame.shape[1]),
            found["masks"].cpu(),
            torch.tensor(prompts, dtype=torch.int64),
            found["scores"].cpu(),
            self.threshold,
            track_ids=ids,
        )

    def _forget(self, index: int) -> None:
        """Drop what the model will not look at after a frame; the library keeps everything."""
        session, old = self._session, index - self._memory
        # The number of frames counts, so an empty one stays.
        if old in session.processed_frames:
            session.processed_frames[old] = None
        session.suppressed_obj_ids.pop(old, None)
        session.obj_id_to_tracker_score_frame_wise.pop(old, None)
        for outputs in session.output_dict_per_obj.values():
            outputs["non_cond_frame_outputs"].pop(old, None)
            conditioning = outputs["cond_frame_outputs"]
            for number in sorted(conditioning)[: -self._conditioning]:
                del conditioning[number]
        for tracked in session.frames_tracked_per_obj.values():
            tracked.pop(old, None)
        for given in session.mask_inputs_per_obj.values():
            given.pop(old, None)

    def fingerprint(self) -> str:
        """Return a hash of weights, settings and texts."""
        processor = self.processor.image_processor.to_json_string()
        settings = (processor, self.texts, self.threshold)
        return hash_model(repr(settings), self.model)
