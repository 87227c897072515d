"""Package description of vps_d2."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
INIT = (ROOT / "vps_d2" / "__init__.py").read_text(encoding="utf-8")
HF = ["transformers>=5.0", "safetensors>=0.4"]
SAM = [*HF, "timm>=1.0"]
WEB = ["fastapi>=0.115.3", "uvicorn>=0.30", "python-multipart>=0.0.18"]
INTERACTIVE = ["scikit-image>=0.22", "scikit-learn>=1.3", "networkx>=3.0", "matplotlib>=3.7"]
SLURM = ["submitit>=1.5"]
# It is compiled: where there are wheels.
FLIP = "python_version < '3.14' and platform_machine in 'x86_64 AMD64 arm64'"
PERCEPTUAL = [f"flip-evaluator>=1.6; {FLIP}"]
EXPORT = ["onnx>=1.16", "onnxscript>=0.5", "onnxruntime>=1.19"]
BROWSER = ["playwright>=1.45"]  # tests the page in the chromium of the system
TEST = [
    *SAM,
    *WEB,
    *INTERACTIVE,
    *SLURM,
    *EXPORT,
    *PERCEPTUAL,
    "httpx>=0.27",
    "pytest>=8",
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.5",
    "setuptools>=70.1",
]

setup(
    name="vps_d2",
    version=re.search(r'__version__ = "(.+)"', INIT)[1],
    description="Predict what a video will show next, and segment it: a Detectron2 extension",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    # The folder of the configurations stands beside the package, where it is easy to find, and is
    # installed as a part of it.
    packages=[*find_packages(include=["vps_d2", "vps_d2.*"]), "vps_d2.configs"],
    package_dir={"vps_d2.configs": "configs"},
    package_data={
        "vps_d2": [
            "py.typed",
            "weights/*.pth",
            "weights/*.md",
            "web/static/*",
            "visualization/static/*",
        ],
        "vps_d2.configs": ["*.yaml", "*/*.yaml"],
    },
    entry_points={"console_scripts": ["vps-d2 = vps_d2.cli.main:main"]},
    python_requires=">=3.10",
    install_requires=[
        "torch>=2.4",
        "torchvision>=0.19",
        "fvcore>=0.1.5.post20221221",
        "iopath>=0.1.9",
        "numpy>=1.24",
        "scipy>=1.10",
        "opencv-python-headless>=4.8",
        "pillow>=9.4",
        "pyyaml>=6.0",
        "pycocotools>=2.0.7",
        "torchmetrics>=1.0",
        "imageio>=2.31",
        # Reads and writes videos. pip takes the newest version for each Python: 17 for 3.10, 18 for
        # 3.11, 19 from 3.12 on. OpenCV reads videos on machines for which there is no wheel.
        "av>=17; platform_machine in 'x86_64 AMD64 aarch64 arm64'",
        "isal>=1.6; platform_machine in 'x86_64 AMD64 aarch64 arm64'",
        "tensorboard>=2.13",
        "termcolor>=2.0",
        "tqdm>=4.65",
        "portalocker>=2.10",
        "mujoco-core>=4.0; python_version >= '3.11'",
        "mujoco>=3.1; python_version < '3.11'",  # the same, with a viewer
    ],
    extras_require={
        # Models of the Hugging Face hub, for vps-d2 segment --model hf:NAME.
        "hf": HF,
        # SAM 2.1 and EdgeTAM, to follow objects; timm has the backbone of EdgeTAM.
        "sam": SAM,
        # The page of vps-d2 annotate.
        "web": WEB,
        # The robot of vps-d2 eval-interactive, and curves.
        "interactive": INTERACTIVE,
        # FLIP, how different frames look, for vps-d2 evaluate --perceptual.
        "perceptual": PERCEPTUAL,
        # The format onnx of vps-d2 export.
        "export": EXPORT,
        # The engine that simulated the real videos. It has no wheels for newer Pythons.
        "bullet": ["pybullet>=3.2.5; python_version < '3.12'"],
        # Jobs on a cluster, for vps-d2 slurm.
        "slurm": SLURM,
        "test": TEST,
        "browser": BROWSER,
        "dev": [*TEST, *BROWSER, "ruff>=0.6", "mypy>=1.10", "pre-commit>=3.7"],
        "fuzz": ["atheris>=2.3"],  # has no wheel for some versions of Python
        # Ruff formats the signatures on the pages.
        "docs": [
            "mkdocs>=1.6,<2",
            "mkdocs-material>=9.5,<10",
            "mkdocstrings[python]>=1",
            "ruff>=0.6",
        ],
    },
)
