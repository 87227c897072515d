"""From a network to a file that another program runs, and back to a function."""

import importlib.util
import inspect
import io
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
from torch.export import Dim, ExportedProgram

from vps_d2.inference.export.steps import Shape, Sizes, Step
from vps_d2.io.errors import UserError

FORMATS = {"onnx": ".onnx", "torch-export": ".pt2"}
"""The formats, and how the names of their files end."""
METADATA = "metadata.json"
"""Of a program of torch.export, the extra file with the metadata."""
OPSET = 20
"""Of ONNX; GridSample, with which masks are drawn, has its present form since then."""

Runner = Callable[[Sequence[np.ndarray]], list[np.ndarray]]

_NEEDED = ("onnx", "onnxscript", "onnxruntime")
# Large enough for no feature map to have a single row or column, which would be taken for fixed.
_TRACED = Sizes(3, 152, 280)


def check_format(form: str) -> None:
    """Check that a format can be written and checked here.

    Raises:
        UserError: if a library is missing, or PyTorch is too old.
    """
    if "prefer_deferred_runtime_asserts_over_guards" not in _parameters():
        raise UserError(
            f"PyTorch {torch.__version__} cannot export models whose sizes may change; install a "
            "newer one."
        )
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if form == "onnx" and missing:
        raise UserError(
            f"--format onnx needs {' and '.join(missing)}; install the extra with "
            'pip install "vps_d2[export]", or give --format torch-export.'
        )


def trace(step: Step) -> ExportedProgram:
    """Record what a network computes, for any length of the axes that have names.

    Raises:
        UserError: if PyTorch cannot do that.
    """
    height, width = (side // step.multiple * step.multiple for side in _TRACED[1:])
    dynamic: Any = tuple(
        {axis: Dim.DYNAMIC for axis, length in enumerate(shape) if isinstance(length, str)}
        for shape in step.inputs.values()
    )
    with _exporting("PyTorch cannot export this model"), torch.no_grad():
        program = torch.export.export(
            step.network.eval().requires_grad_(False),  # loops are only exported without gradients
            step.make(Sizes(_TRACED.number, height, width)),
            dynamic_shapes=dynamic,
            strict=False,
            prefer_deferred_runtime_asserts_over_guards=True,
        )
        return _without_assertions(program)


def to_file(program: ExportedProgram, step: Step, metadata: Mapping[str, str], form: str) -> bytes:
    """Return the content of a file.

    Args:
        program: from :func:`trace`.
        step: of it.
        metadata: texts by name; properties of an ONNX model, or the extra file METADATA.
        form: one of FORMATS.

    Raises:
        UserError: if an operation has no counterpart in the format.
    """
    return _to_onnx(program, step, metadata) if form == "onnx" else _to_program(program, metadata)


def _to_onnx(program: ExportedProgram, step: Step, metadata: Mapping[str, str]) -> bytes:
    with _exporting("PyTorch cannot translate this model to ONNX"), torch.no_grad():
        made = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(step.inputs),
            output_names=list(step.outputs),
            verbose=False,
        )
    assert made is not None
    model = made.model
    for node in (*model.graph.all_nodes(), *(n for f in model.functions.values() for n in f)):
        node.metadata_props.clear()  # stack traces, with the paths of this machine
    model.metadata_props.update(metadata)
    model.producer_name, model.doc_string = "vps_d2", metadata.get("about", "")
    shapes = (*step.inputs.values(), *step.outputs.values())
    for value, shape in zip((*model.graph.inputs, *model.graph.outputs), shapes, strict=True):
        _name_axes(value, shape)
    return cast(bytes, made.model_proto.SerializeToString())


def _to_program(program: ExportedProgram, metadata: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        extra = {METADATA: json.dumps(dict(metadata), indent=2)}
        torch.export.save(program, buffer, extra_files=extra)
    return buffer.getvalue()


def runner(content: bytes, form: str) -> Runner:
    """Return a function that runs a file of one of the formats, on the CPU."""
    if form == "onnx":
        session = open_session(content)
        names = [each.name for each in session.get_inputs()]
        return lambda inputs: session.run(None, dict(zip(names, inputs, strict=True)))
    network = torch.export.load(io.BytesIO(content)).module()

    def run(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        with torch.no_grad():
            outputs = network(*map(torch.from_numpy, inputs))
        outputs = outputs if isinstance(outputs, tuple | list) else (outputs,)
        return [each.numpy() for each in outputs]

    return run


def open_session(content: bytes, threads: int | None = None) -> Any:
    """Return a session of ONNX Runtime on the CPU.

    Args:
        content: of the ONNX file.
        threads: that it computes with; None for those of PyTorch.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    options.log_severity_level = 3  # no warnings
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _without_assertions(program: ExportedProgram) -> ExportedProgram:
    """Return a program that runs for all sizes.

    PyTorch adds assertions about the layout of intermediate results in memory, such as that a slice
    is a part and not the whole, although what it computes does not depend on them. Nor does it on
    where autocast is disabled, as nothing enables it; such marks cannot be saved beside loops.
    """
    autocast = torch.amp.autocast_mode
    needless = (
        torch.ops.aten._assert_scalar.default,
        autocast._exit_autocast,  # before those that they belong to, which they use
        autocast._enter_autocast,
    )
    graph = program.graph_module.graph
    for target in needless:
        for node in [each for each in graph.nodes if each.target is target]:
            graph.erase_node(node)
    graph.eliminate_dead_code()
    program.graph_module.recompile()
    return program


def _name_axes(value: Any, shape: Shape) -> None:
    """Give the axes of an input or output their names and lengths."""
    import onnx_ir

    value.shape = onnx_ir.Shape(shape)


def _parameters() -> Mapping[str, inspect.Parameter]:
    return inspect.signature(torch.export.export).parameters


@contextmanager
def _exporting(words: str) -> Iterator[None]:
    """Keep PyTorch's warnings from the user, and make one sentence of its errors."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except MemoryError:
        raise
    except (RuntimeError, ValueError, TypeError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(
            f"{words} ({reason[0][:200].rstrip('.')}); export another one, or report it."
        ) from error
