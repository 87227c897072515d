"""The defaults of a run: command line, set-up, writers and predictor."""

import argparse
import os
import platform
import sys
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from vps_d2.d2.embedded.checkpoint import DetectionCheckpointer
from vps_d2.d2.embedded.config import CfgNode
from vps_d2.d2.embedded.data import MetadataCatalog
from vps_d2.d2.embedded.data import transforms as T
from vps_d2.d2.embedded.utils import comm
from vps_d2.d2.embedded.utils.env import seed_all_rng
from vps_d2.d2.embedded.utils.events import (
    CommonMetricPrinter,
    EventWriter,
    JSONWriter,
    TensorboardXWriter,
)
from vps_d2.d2.embedded.utils.file_io import PathManager
from vps_d2.d2.embedded.utils.logger import setup_logger

__all__ = [
    "DefaultPredictor",
    "create_ddp_model",
    "default_argument_parser",
    "default_setup",
    "default_writers",
]

_EXAMPLES = """examples:
  train on 8 GPUs:  {program} --config-file FILE --num-gpus 8
  change keys:      {program} --config-file FILE MODEL.WEIGHTS model.pth SOLVER.BASE_LR 0.001
  on 2 machines:    {program} --config-file FILE --num-machines 2 --machine-rank 0 --dist-url URL
                    {program} --config-file FILE --num-machines 2 --machine-rank 1 --dist-url URL
"""


def create_ddp_model(model: nn.Module, **kwargs: Any) -> nn.Module:
    """Wrap a model for training in several processes; a single process keeps it as it is.

    Args:
        model: on its device.
        kwargs: further arguments of ``DistributedDataParallel``.
    """
    if comm.get_world_size() == 1:
        return model
    if next(model.parameters()).is_cuda:
        kwargs.setdefault("device_ids", [comm.get_local_rank()])
    return DistributedDataParallel(model, **kwargs)


def default_argument_parser(epilog: str | None = None) -> argparse.ArgumentParser:
    """Build the parser of a training tool.

    Args:
        epilog: examples at the end of the help; None for general ones.
    """
    parser = argparse.ArgumentParser(
        epilog=epilog or _EXAMPLES.format(program=sys.argv[0]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--config-file", default="", metavar="FILE", help="YAML file of the configuration")
    add("--resume", action="store_true", help="go on from the last checkpoint of OUTPUT_DIR")
    add("--eval-only", action="store_true", help="evaluate and do not train")
    add("--num-gpus", type=int, default=1, help="processes on each machine (default: 1)")
    add("--num-machines", type=int, default=1, help="machines of the run (default: 1)")
    add("--machine-rank", type=int, default=0, help="number of this machine (default: 0)")
    # Users of one machine get ports of their own.
    user = os.getuid() if hasattr(os, "getuid") else 1
    add(
        "--dist-url",
        default=f"tcp://127.0.0.1:{2**15 + 2**14 + user % 2**14}",
        help="where the processes meet (default: %(default)s)",
    )
    add("opts", nargs=argparse.REMAINDER, help="keys of the configuration and values, in turn")
    return parser


def default_setup(cfg: CfgNode, args: argparse.Namespace) -> None:
    """Begin a run: its folder, log, seeds, and a copy of its configuration.

    Args:
        cfg: configuration.
        args: of the command line, which are logged.
    """
    rank, folder = comm.get_rank(), cfg.OUTPUT_DIR
    if comm.is_main_process() and folder:
        PathManager.mkdirs(folder)
    setup_logger(folder, distributed_rank=rank, name="fvcore")
    logger = setup_logger(folder, distributed_rank=rank)
    logger.info("Rank of current process: %d. World size: %d", rank, comm.get_world_size())
    logger.info("Environment: %s", _describe_environment())
    logger.info("Command line arguments: %s", args)
    if comm.is_main_process() and folder:
        logger.info("Running with full config:\n%s", cfg.dump())
        path = os.path.join(folder, "config.yaml")
        with PathManager.open(path, "w") as file:
            file.write(cfg.dump())
        logger.info("Full config saved to %s", path)
    seed_all_rng(None if cfg.SEED < 0 else cfg.SEED + rank)
    # Evaluation sees many sizes of images, each of which cuDNN would try its algorithms on.
    if not getattr(args, "eval_only", False):
        torch.backends.cudnn.benchmark = cfg.CUDNN_BENCHMARK
    if cfg.FLOAT32_PRECISION and torch.cuda.is_available():
        torch.set_float32_matmul_precision(cfg.FLOAT32_PRECISION)
        torch.backends.cudnn.allow_tf32 = cfg.FLOAT32_PRECISION != "highest"


def _describe_environment() -> str:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return (
        f"{platform.platform()}, Python {platform.python_version()}, PyTorch {torch.__version__}, "
        f"NumPy {np.__version__}, {torch.get_num_threads()} threads, {device}"
    )


def default_writers(output_dir: str, max_iter: int | None = None) -> list[EventWriter]:
    """Return writers to the terminal, to ``metrics.json`` and to TensorBoard.

    Args:
        output_dir: folder of the files, made if it is missing.
        max_iter: iterations of the run.
    """
    PathManager.mkdirs(output_dir)
    return [
        CommonMetricPrinter(max_iter),
        JSONWriter(os.path.join(output_dir, "metrics.json")),
        TensorboardXWriter(output_dir),
    ]


class DefaultPredictor:
    """A model with its weights that takes one image at a time.

    Args:
        cfg: configuration; MODEL.WEIGHTS names the weights.

    Attributes:
        metadata: of the first data set of DATASETS.TEST, if there is one.
    """

    def __init__(self, cfg: CfgNode) -> None:
        # Late: the set-up of a run needs no architecture.
        from vps_d2.d2.embedded.modeling import build_model

        self.cfg = cfg.clone()
        self.model = build_model(self.cfg).eval()
        if len(cfg.DATASETS.TEST):
            self.metadata = MetadataCatalog.get(cfg.DATASETS.TEST[0])
        DetectionCheckpointer(self.model).load(cfg.MODEL.WEIGHTS)
        shortest = cfg.INPUT.MIN_SIZE_TEST
        self.aug = T.ResizeShortestEdge([shortest, shortest], cfg.INPUT.MAX_SIZE_TEST)
        self.input_format = cfg.INPUT.FORMAT
        assert self.input_format in ("RGB", "BGR"), f"INPUT.FORMAT {self.input_format} is unknown"

    def __call__(self, original_image: np.ndarray) -> dict[str, Any]:
        """Predict.

        Args:
            original_image: uint8 ``(H, W, 3)``, BGR whatever INPUT.FORMAT is.

        Returns:
            the model's output for it, in its own size.
        """
        image = original_image[:, :, ::-1] if self.input_format == "RGB" else original_image
        height, width = image.shape[:2]
        resized = self.aug.get_transform(image).apply_image(image)
        tensor = torch.from_numpy(resized.astype(np.float32).transpose(2, 0, 1).copy())
        with torch.no_grad():
            return self.model([{"image": tensor, "height": height, "width": width}])[0]
