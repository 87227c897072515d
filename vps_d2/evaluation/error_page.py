"""The page of the errors of ObjectDynamics: each step of the repair, and each lost object."""

from pathlib import Path

from vps_d2.data.taxonomy import Taxonomy
from vps_d2.data.video import read_frames
from vps_d2.evaluation.error_split import ErrorSplit, RepairedVideo
from vps_d2.evaluation.leaderboard import score_video
from vps_d2.modeling.object_dynamics.repairs import CAUSES
from vps_d2.visualization.future_page import (
    FuturePage,
    PageMask,
    PageRow,
    PageTable,
    PageVideo,
    format_future_page,
)

NUM_VIDEOS = 12


def format_error_page(
    split: ErrorSplit, root: str | Path, taxonomy: Taxonomy, num_known: int, mask_number: int
) -> str:
    """Return a self-contained HTML page, which opens without a server.

    Args:
        split: with the videos to show.
        root: folder of the videos.
        taxonomy: of the masks.
        num_known: number of input frames.
        mask_number: the frame that the masks are of, counted from 1.
    """
    steps = [split.figures["jaccard"], *split.figures["steps"]]
    rows = [PageRow("As predicted", score=steps[0], cells=("",))]
    for cause, before, after in zip(CAUSES, steps, steps[1:], strict=False):
        title = f"With {cause} repaired"
        rows.append(PageRow(title, score=after, start=before, cells=(f"{after - before:+.3f}",)))
    places = {video.folder.name: index for index, video in enumerate(split.videos)}
    lost = PageTable(
        "Lost objects",
        ("video", "object", "Jaccard", "lost to"),
        [
            (each.video, taxonomy.class_names[each.class_id], f"{each.jaccard:.2f}", each.cause)
            for each in split.objects
        ],
        [places.get(each.video) for each in split.objects],
    )
    page = FuturePage(
        title=f"Errors on {Path(root).name}, by cause",
        note=(
            f"Each row repairs one more cause with the truth; its bar is what that adds to the "
            f"Jaccard index of frame {mask_number}. The videos are those with the lowest scores. "
            "An object is lost if its Jaccard index is below 0.5; it is lost to the cause whose "
            "repair adds most to it."
        ),
        header=("step", f"Jaccard of frame {mask_number}", "gain"),
        rows=rows,
        videos=[_page_video(video, split, taxonomy, mask_number) for video in split.videos],
        taxonomy=taxonomy,
        num_known=num_known,
        tables=[lost],
        extremes=False,
    )
    return format_future_page(page)


def _page_video(
    video: RepairedVideo, split: ErrorSplit, taxonomy: Taxonomy, mask_number: int
) -> PageVideo:
    repairs = video.repairs
    masks = [
        PageMask(mask, score_video(mask, repairs.truth, taxonomy.num_classes))
        for mask in (*repairs.masks, repairs.truth)
    ]
    masks[0] = PageMask(masks[0].mask, masks[0].score, repairs.paths)
    name = video.folder.name
    causes = {each.class_id: each.cause for each in split.objects if each.video == name}
    frames = read_frames(video.folder, range(mask_number))
    return PageVideo(name, frames, repairs.truth, masks, causes)
