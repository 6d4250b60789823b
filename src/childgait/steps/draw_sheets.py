"""Two review sheets per subject: the head covers, and the masks of the child.

Reads the head strips that `deidentify` drew, the de-identified videos, the masks, and from the clips the frames in
which covers hide the child. Writes two JPEGs; both contain only pixels of de-identified videos.
"""

from __future__ import annotations

from childgait.engine.flags import Input, Output

METHODS = "For each child a sheet of the riskiest covered frames and a sheet of the masks is drawn for manual review."


def draw_sheets(
    strips: list[Input],
    videos: list[Input],
    masks: list[Input],
    boxes: list[Input],
    heads: Output,
    mask_sheet: Output,
    clips: list[Input] | None = None,
) -> None:
    import json

    from childgait.vision.head_sheet import write_head_sheet
    from childgait.vision.mask_sheet import write_mask_sheet

    write_head_sheet(heads, strips)
    facts = [json.loads(clip.read_text(encoding="utf-8")) for clip in clips or []]
    covered = {clip["video"]: clip.get("covered_video_frames", []) for clip in facts}
    write_mask_sheet(mask_sheet, videos, masks, boxes, covered)
