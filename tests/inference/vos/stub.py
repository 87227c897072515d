"""An engine that follows objects by their colors, and a film to try it on."""

from fractions import Fraction

import numpy as np
import torch

from vps_d2.inference.vos.engine import VOSEngine
from vps_d2.inference.vos.engines import register_vos_engine
from vps_d2.io.video_writing import VideoWriter

SIZE = (48, 64)
RED, GREEN, GRAY = (200, 40, 40), (40, 200, 40), (90, 90, 90)


class ColorEngine(VOSEngine):
    """Gives each pixel to the object whose color in the remembered frames is nearest.

    The frames since the last permanent one are counted, and each makes an object look a little
    different, so that results depend on all that an engine remembers.
    """

    source = "colors"

    def __init__(self, fail_at=None, has_state=True):
        self.fail_at, self.has_state, self.calls = fail_at, has_state, []
        self.reset()

    def reset(self):
        self.kept, self.colors = {}, {}
        self.drift = 0

    def remember(self, picture, object_map, permanent):
        self.calls.append(("remember", sorted(np.unique(object_map).tolist()), permanent))
        for number in np.unique(object_map):
            color = picture[object_map == number].mean(0)
            self.colors[int(number)] = color
            if permanent:
                self.kept[int(number)] = color

    def segment(self, picture, objects):
        self.calls.append(("segment", list(objects)))
        if self.fail_at == sum(call[0] == "segment" for call in self.calls):
            raise KeyboardInterrupt
        self.drift += 1
        colors = np.stack([self.colors.get(0, np.array(GRAY)), *(self.colors[k] for k in objects)])
        far = np.abs(picture[None] - colors[:, None, None]).sum(-1) + self.drift % 7
        values = torch.from_numpy(-far.astype(np.float32) / 100)
        return values.softmax(0).numpy()

    def forget_frames(self):
        self.colors = dict(self.kept)

    def fingerprint(self):
        return "colors"

    def get_state(self):
        if not self.has_state:
            return None
        pack = {name: getattr(self, name) for name in ("kept", "colors")}
        return {
            **{
                name: {k: torch.from_numpy(v) for k, v in each.items()}
                for name, each in pack.items()
            },
            "drift": self.drift,
        }

    def set_state(self, state):
        self.kept, self.colors = (
            {k: v.numpy() for k, v in state[name].items()} for name in ("kept", "colors")
        )
        self.drift = state["drift"]


@register_vos_engine("colors")
def make(options):
    return ColorEngine()


def draw(index):
    """A red square moves to the right, and a green one comes in frame 3 and goes after frame 7."""
    frame = np.full((*SIZE, 3), GRAY, np.uint8)
    frame[10:22, 2 + 4 * index : 14 + 4 * index] = RED
    if 3 <= index <= 7:
        frame[30:42, 4:16] = GREEN
    return frame


def truth(index):
    frame = draw(index)
    red, green = (frame == RED).all(2), (frame == GREEN).all(2)
    return (red + 2 * green).astype(np.uint8)


def write_clip(path, count=11):
    with VideoWriter(path, *SIZE, Fraction(10)) as writer:
        for index in range(count):
            writer.write(draw(index), Fraction(index, 10))
    return path


def overlap(found, wanted, number):
    one, other = found == number, wanted == number
    return (one & other).sum() / max((one | other).sum(), 1)
