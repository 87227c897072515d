"""Communication between processes: Detectron2's ``detectron2.utils.comm``."""

from vps_d2.d2 import ENGINE

if ENGINE == "detectron2":
    from detectron2.utils.comm import (
        all_gather,
        gather,
        get_rank,
        get_world_size,
        is_main_process,
        synchronize,
    )
    from torch.distributed import destroy_process_group

    def destroy() -> None:
        """Leave the process group."""
        destroy_process_group()
else:
    from vps_d2.d2.embedded.utils.comm import (
        all_gather,
        destroy,
        gather,
        get_rank,
        get_world_size,
        is_main_process,
        synchronize,
    )

__all__ = [
    "all_gather",
    "destroy",
    "gather",
    "get_rank",
    "get_world_size",
    "is_main_process",
    "synchronize",
]
