"""Data sets by name, and loaders over them."""

from vps_d2.d2.embedded.data.build import (
    build_detection_test_loader,
    build_detection_train_loader,
)
from vps_d2.d2.embedded.data.catalog import DatasetCatalog, MetadataCatalog
from vps_d2.d2.embedded.data.common import DatasetFromList, MapDataset

__all__ = [
    "DatasetCatalog",
    "DatasetFromList",
    "MapDataset",
    "MetadataCatalog",
    "build_detection_test_loader",
    "build_detection_train_loader",
]
