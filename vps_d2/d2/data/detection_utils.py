"""Images and annotations: Detectron2's ``detectron2.data.detection_utils``."""

from vps_d2.d2 import ENGINE

if ENGINE == "detectron2":
    from detectron2.data.detection_utils import (
        annotations_to_instances,
        filter_empty_instances,
        read_image,
        transform_instance_annotations,
    )
else:
    from vps_d2.d2.embedded.data.detection_utils import (
        annotations_to_instances,
        filter_empty_instances,
        read_image,
        transform_instance_annotations,
    )

__all__ = [
    "annotations_to_instances",
    "filter_empty_instances",
    "read_image",
    "transform_instance_annotations",
]
