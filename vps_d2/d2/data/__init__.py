"""Data sets and loaders: Detectron2's ``detectron2.data``."""

from vps_d2.d2 import ENGINE

if ENGINE == "detectron2":
    from detectron2.data import (
        DatasetCatalog,
        DatasetFromList,
        MetadataCatalog,
        build_detection_test_loader,
        build_detection_train_loader,
    )
else:
    from vps_d2.d2.embedded.data import (
        DatasetCatalog,
        DatasetFromList,
        MetadataCatalog,
        build_detection_test_loader,
        build_detection_train_loader,
    )

__all__ = [
    "DatasetCatalog",
    "DatasetFromList",
    "MetadataCatalog",
    "build_detection_test_loader",
    "build_detection_train_loader",
]
