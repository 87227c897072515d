"""Scalars and pictures of a run: Detectron2's ``detectron2.utils.events``."""

from vps_d2.d2 import ENGINE

if ENGINE == "detectron2":
    from detectron2.utils.events import EventStorage, get_event_storage
else:
    from vps_d2.d2.embedded.utils.events import EventStorage, get_event_storage

__all__ = ["EventStorage", "get_event_storage"]
