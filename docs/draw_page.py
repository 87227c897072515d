"""Draw docs/images/annotate.jpg: the annotation page with a generated clip, in chromium.

    python docs/draw_page.py [PICTURE]

It needs chromium, and the package with the extras [web] and [browser]. The clip is generated, the
true masks of its first frame are imported, and the rest is done on the page as a user does it.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vps_d2.cli.main import main
from vps_d2.data.object_maps import OBJECT_PALETTE, read_object_map

PICTURE = Path(__file__).parent / "images" / "annotate.jpg"
SIZE = {"width": 1280, "height": 720}
NUM_FRAMES = 96
NAMES = ("puppet", "rock", "stone", "deer", "rod")
LONG = 20 * 60_000  # milliseconds, which a propagation may take


def make_clip(folder: Path) -> tuple[Path, Path]:
    """Generate a clip; return the folder of its frames, and the true mask of the first one."""
    size = ["--height", "480", "--width", "854"]
    count = ["--videos", "1", "--frames", str(NUM_FRAMES), "--seed", "3", "--workers", "1"]
    main(["make-vos-clips", "--out", str(folder / "clips"), *size, *count])
    (frames,) = (folder / "clips" / "JPEGImages").iterdir()
    clip = frames.rename(folder / "street.clip")
    object_map = read_object_map(next((folder / "clips" / "Annotations").rglob("00000.png")))
    first = Image.fromarray(object_map.astype(np.uint8), "P")
    first.putpalette(OBJECT_PALETTE.ravel().tolist())
    first.save(folder / "first.png")
    return clip, folder / "first.png"


@contextmanager
def serve(clip: Path, folder: Path) -> Iterator[str]:
    """Run ``vps-d2 annotate``; yield the address of its page."""
    words = ["annotate", str(clip), "--session", str(folder / "session"), "--no-browser"]
    command = [sys.executable, "-m", "vps_d2", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
    finally:
        process.terminate()
        process.wait()


def annotate(page: Any, first: Path) -> None:
    """Annotate the clip, and leave the page as it is to be drawn."""
    page.locator('#stage[data-frame="0"]').wait_for()
    page.keyboard.press("Shift+I")
    page.locator("#import-file").set_input_files(first)
    page.locator("#import-start").click()
    page.locator(".object input").first.wait_for()
    for number in range(page.locator(".object input").count()):
        page.locator(".object input").nth(number).fill(NAMES[number % len(NAMES)])
        page.keyboard.press("Enter")
    page.locator("#engine-facts", has_text="Engine").wait_for(timeout=LONG)
    page.keyboard.press("p")
    page.locator("#job").wait_for(state="visible")
    page.locator("#job").wait_for(state="hidden", timeout=LONG)
    page.keyboard.press("1")
    page.locator("#frame-number").fill("10")
    page.keyboard.press("Enter")
    page.locator('#stage[data-frame="9"]').wait_for()
    time.sleep(8)  # until no message is shown any more


def draw(picture: Path) -> None:
    """Write the picture."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        clip, first = make_clip(Path(name))
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport=SIZE, color_scheme="dark")
        with serve(clip, Path(name)) as address:
            page.goto(address)
            annotate(page, first)
            page.screenshot(path=picture, type="jpeg", quality=82)
        browser.close()
    print(f"{picture}: {picture.stat().st_size:,} bytes")


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE)
