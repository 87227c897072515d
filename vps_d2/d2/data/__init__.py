"""Data sets and loaders: Detectron2's ``detectron2.data``."""

from vps_d2.d2 import ENGINE

if ENGINE == "detectron2":
    from detectron2.data import (
        DatasetCatalog,
        DatasetFromList,
        MapDataset,
        MetadataCatalog,
        build_detection_test_loader,
        build_detection_train_loader,
        get_detection_dataset_dicts,
    )
else:
    from vps_d2.d2.embedded.data import (
        DatasetCatalog,
        DatasetFromList,
        MapDataset,
        MetadataCatalog,
        build_detection_test_loader,
        build_detection_train_loader,
        get_detection_dataset_dicts,
    )

__all__ = [
    "DatasetCatalog",
    "DatasetFromList",
    "MapDataset",
    "MetadataCatalog",
    "build_detection_test_loader",
    "build_detection_train_loader",
    "get_detection_dataset_dicts",
]
