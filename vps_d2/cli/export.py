"""Export trained models to ONNX, or to programs of torch.export, for programs without vps_d2."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from vps_d2.cli.arguments import CommandParser
from vps_d2.cli.plugins import add_import_option, import_parts
from vps_d2.io.escape import print_line

EPILOG = """examples:
  vps-d2 export --config-file configs/unet/unet_frames.yaml --output output/unet \\
      MODEL.WEIGHTS package://unet.pth
  vps-d2 export --config-file configs/pipeline/unet_object_dynamics.yaml --output output/pipeline
  vps-d2 export --config-file configs/vos/small_vos.yaml --output output/vos \\
      --format torch-export MODEL.WEIGHTS package://vos_small.pth

Each file is compared with the model in PyTorch, on inputs of several sizes and numbers, before it
is written: model.onnx, for a pipeline segmenter.onnx and so on, and for STCN key.onnx, value.onnx,
read.onnx and decode.onnx. Pictures are uint8 as they are read, normalization is inside; classes,
shapes, frames and license are in the file's metadata. All is in single precision.
"""


def parse_args(argv: Sequence[str] | None, prog: str | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(prog, __doc__, EPILOG)
    add = parser.add_argument
    add(
        "--config-file",
        required=True,
        metavar="FILE",
        help="config of a model or of a pipeline",
    )
    add(
        "--format",
        choices=("onnx", "torch-export"),
        default="onnx",
        help="of the files (default: %(default)s)",
    )
    add("--output", type=Path, required=True, metavar="DIR", help="folder for the files")
    add(
        "--input",
        type=Path,
        metavar="PATH",
        help="video or folder of pictures, or for models of masks an .npy file of class maps "
        "(T, H, W), to compare on besides the made inputs",
    )
    add_import_option(parser)
    parser.add_overrides(
        "config keys to override, such as MODEL.WEIGHTS output/unet_frames/model_best.pth"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Export the models of a configuration.

    Args:
        argv: arguments; None for those of the command line.
        prog: how the command was called; None for the name of the script.

    Raises:
        UserError: if a file or the configuration is wrong, a library is missing, a model cannot be
            exported, or what was exported computes something else.
    """
    args = parse_args(argv, prog)

    from vps_d2.inference.export.exporting import export_config, format_shape

    import_parts(args.imports)
    made = export_config(
        args.config_file, args.opts, args.output, form=args.format, given=args.input
    )
    for each in made:
        print_line(f"{each.path}: {each.num_bytes / 1e6:.1f} MB")
        for words, shapes in (("in", each.step.inputs), ("out", each.step.outputs)):
            for name, shape in shapes.items():
                print(f"  {words:<4}{name} {format_shape(shape)}")
        if each.step.about:
            print(f"  {each.step.about}")
        print(
            f"  equal to PyTorch on {each.agreement.num_inputs} inputs, within "
            f"{each.agreement.difference:.1e} of the largest value"
        )
