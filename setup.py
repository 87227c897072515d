"""Package description of vps_d2."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "vps_d2/__init__.py").read_text())[1]
TEST = ["pytest>=8"]

setup(
    name="vps_d2",
    version=VERSION,
    description="Predict what a video will show next, and segment it: a Detectron2 extension",
    long_description=(ROOT / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["vps_d2", "vps_d2.*"]),
    package_data={"vps_d2": ["weights/*.pth", "weights/*.md"]},
    python_requires=">=3.10",
    install_requires=[
        "torch>=2.4",
        "torchvision>=0.19",
        "fvcore>=0.1.5.post20221221",
        "iopath>=0.1.9",
        "numpy>=1.24",
        "opencv-python-headless>=4.8",
        "pycocotools>=2.0.7",
        "torchmetrics>=1.0",
        "imageio[ffmpeg]>=2.31",
        "tensorboard>=2.13",
        "tqdm>=4.65",
        "mujoco-core>=4.0",
    ],
    extras_require={
        "test": TEST,
        "dev": [*TEST, "ruff>=0.6", "mypy>=1.10", "pre-commit>=3.7"],
        # Ruff formats the signatures on the pages.
        "docs": [
            "mkdocs>=1.6,<2",
            "mkdocs-material>=9.5,<10",
            "mkdocstrings[python]>=1",
            "ruff>=0.6",
        ],
    },
)
