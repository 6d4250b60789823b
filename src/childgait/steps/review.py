"""Two sheets a subject, so that a person judges in a minute: what covers the heads, and what was taken for the child.

Reads the strips of covered heads that deidentify drew, de-identified videos, and the masks. Yields two JPEGs; both show
only pixels that `deidentify` let through.
"""

from __future__ import annotations

from childgait.engine.flags import Input, Output

METHODS = (
    "For each child a sheet of the riskiest covered frames and a sheet of the masks is drawn for a person to look at."
)


def review(
    strips: list[Input], videos: list[Input], masks: list[Input], boxes: list[Input], heads: Output, mask_sheet: Output
) -> None:
    from childgait.vision.head_sheet import write_head_sheet
    from childgait.vision.mask_sheet import write_mask_sheet

    write_head_sheet(heads, strips)
    write_mask_sheet(mask_sheet, videos, masks, boxes)
