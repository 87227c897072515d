"""Procedural textures: fur, stripes, spots, patches and noise, in colors like those of nature.

Textures are uint8 RGB ``(size, size, 3)``. Each has a number, and the same number and size give the
same texture, so that textures can be made once and kept.
"""

from functools import lru_cache

import cv2
import numpy as np

NUM_TEXTURES = 512
"""Textures are numbered from 0 to one below this."""
_KEPT = 1024  # all, for things and for backgrounds
_LARGEST_KEPT = 320  # pixels; of larger ones, as many would fill the memory
_STREAM = 71


def texture(number: int, size: int) -> np.ndarray:
    """Return a texture, which must not be written to.

    Args:
        number: of the texture.
        size: height and width in pixels.
    """
    return _keep(number, size) if size <= _LARGEST_KEPT else _make(number, size)


def _make(number: int, size: int) -> np.ndarray:
    rng = np.random.default_rng([_STREAM, number])
    pattern = _PATTERNS[number % len(_PATTERNS)](rng, size)
    colors = palette(rng)
    shades = _paint(pattern, colors)
    # Most surfaces have fine grain, and larger spots that are lighter or darker.
    light = fractal(rng, size, first=2, octaves=6, persistence=rng.uniform(0.5, 0.85))
    strength = rng.uniform(0.1, 0.5)
    shades *= (1 + strength * (light - 0.5))[..., None]
    result: np.ndarray = np.clip(shades, 0, 255).astype(np.uint8)
    result.setflags(write=False)
    return result


_keep = lru_cache(_KEPT)(_make)


def fractal(
    rng: np.random.Generator,
    size: int,
    first: int = 2,
    octaves: int = 5,
    persistence: float = 0.6,
    stretch: float = 1.0,
) -> np.ndarray:
    """Return fractal noise, float32 ``(size, size)`` from 0 to 1.

    Args:
        rng: random numbers.
        size: height and width in pixels.
        first: cells along a side of the coarsest octave; each further one has twice as many.
        octaves: number of them.
        persistence: strength of an octave compared with the one before.
        stretch: how many times longer its grains are than wide.
    """
    total = np.zeros((size, size), np.float32)
    strength, cells = 1.0, first
    for _ in range(octaves):
        if cells > size:
            break
        rows = max(2, round(cells / stretch))
        noise = rng.random((rows, max(2, cells)), np.float32)
        total += strength * cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)
        strength *= persistence
        cells *= 2
    total -= total.min()
    return total / max(float(total.max()), 1e-6)


def palette(rng: np.random.Generator, count: int = 5) -> np.ndarray:
    """Return RGB colors that go together, float32 ``(count, 3)`` from 0 to 255."""
    hue, spread = rng.uniform(0, 180), rng.choice([8.0, 25.0, 90.0], p=[0.5, 0.3, 0.2])
    hues = (hue + rng.normal(0, spread, count)) % 180
    saturations = np.clip(rng.normal(rng.uniform(10, 150), 40, count), 0, 255)
    values = np.clip(rng.uniform(20, 255, count), 0, 255)
    hsv = np.stack([hues, saturations, values], -1)[None].astype(np.uint8)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0].astype(np.float32)


def _paint(pattern: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Color a pattern from 0 to 1 with a gradient through the colors."""
    places = np.linspace(0, 1, len(colors))
    steps = np.linspace(0, 1, 256)
    table = np.stack([np.interp(steps, places, colors[:, channel]) for channel in range(3)], -1)
    indices = np.clip(pattern * 255, 0, 255).astype(np.uint8)
    painted: np.ndarray = table.astype(np.float32)[indices]
    return painted


def _grid(rng: np.random.Generator, size: int, bend: float) -> tuple[np.ndarray, np.ndarray]:
    """Return coordinates from 0 to 1 that are rotated at random and bent."""
    row, column = np.mgrid[:size, :size].astype(np.float32) / size
    angle = rng.uniform(0, 2 * np.pi)
    x = np.cos(angle) * column + np.sin(angle) * row + bend * fractal(rng, size, 2, 3)
    y = np.cos(angle) * row - np.sin(angle) * column + bend * fractal(rng, size, 2, 3)
    return x.astype(np.float32), y.astype(np.float32)


def _cloud(rng: np.random.Generator, size: int) -> np.ndarray:
    return fractal(rng, size, int(rng.integers(2, 9)), 6, rng.uniform(0.4, 0.8))


def _fur(rng: np.random.Generator, size: int) -> np.ndarray:
    hair = fractal(rng, size, 24, 4, 0.9, stretch=rng.uniform(2, 6))
    spots = fractal(rng, size, 2, 3, 0.6)
    return 0.5 * hair + 0.5 * spots


def _stripes(rng: np.random.Generator, size: int) -> np.ndarray:
    x, y = _grid(rng, size, rng.uniform(0.1, 0.6))
    waves = 0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(3, 14) * x)
    return np.clip(0.5 + (waves - 0.5) * rng.uniform(1, 4) + 0.1 * np.sin(9 * y), 0, 1)


def _spots(rng: np.random.Generator, size: int) -> np.ndarray:
    noise = fractal(rng, size, int(rng.integers(6, 20)), 2, 0.3)
    return np.clip(0.5 + (noise - rng.uniform(0.4, 0.6)) * rng.uniform(4, 12), 0, 1)


def _patches(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return few large areas of one shade each, like clothes or the coat of a cow."""
    x, y = _grid(rng, size, rng.uniform(0.1, 0.5))
    cells = int(rng.integers(2, 6))
    shades = rng.random((cells + 2, cells + 2), np.float32)
    return cv2.remap(
        shades, (x % 1) * cells, (y % 1) * cells, cv2.INTER_NEAREST, borderMode=cv2.BORDER_WRAP
    )


def _checks(rng: np.random.Generator, size: int) -> np.ndarray:
    x, y = _grid(rng, size, rng.uniform(0, 0.2))
    count = rng.uniform(2, 10)
    checked = (np.floor(x * count) + np.floor(y * count)) % 2
    return np.clip(0.25 + 0.5 * checked + 0.2 * fractal(rng, size, 4, 4), 0, 1)


_PATTERNS = (_cloud, _fur, _stripes, _spots, _patches, _cloud, _fur, _checks)
