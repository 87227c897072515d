"""The classes of COCO, whose 80 names are spread over the category numbers 1 to 90.

Detectron2's models number the 80 classes without gaps; torchvision's keep the numbers of COCO.
"""

import numpy as np

from vps_d2.data.taxonomy import Taxonomy

__all__ = ["COCO_CATEGORY_IDS", "COCO_TAXONOMY", "class_of_category"]

_NAMES = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light,
fire hydrant, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant,
bear, zebra, giraffe, backpack, umbrella, handbag, tie, suitcase, frisbee, skis, snowboard,
sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket,
bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange,
broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed,
dining table, toilet, tv, laptop, mouse, remote, keyboard, cell phone, microwave, oven,
toaster, sink, refrigerator, book, clock, vase, scissors, teddy bear, hair drier,
toothbrush
"""
_UNUSED = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)

COCO_CATEGORY_IDS = tuple(number for number in range(1, 91) if number not in _UNUSED)
"""COCO's ``category_id`` of each of the 80 classes, in order."""

COCO_TAXONOMY = Taxonomy(tuple(" ".join(_NAMES.split()).split(", ")))
"""The 80 classes."""


def class_of_category(categories: np.ndarray) -> np.ndarray:
    """Return the class of COCO categories.

    Args:
        categories: COCO's ``category_id`` of each instance, integers ``(K,)``.

    Returns:
        class numbers minus one, int64 ``(K,)``; -1 for numbers that COCO does not use.
    """
    table = np.full(max(256, COCO_CATEGORY_IDS[-1] + 1), -1, np.int64)
    table[list(COCO_CATEGORY_IDS)] = np.arange(len(COCO_CATEGORY_IDS))
    return table[categories]
