"""Audit how well recordings identify children by their gait, beside how well the same inputs predict the items.

On demand only, for the children of one split: identification by limb lengths, keypoints, masks, drawn clips and
de-identified frames, and how far a protector of limb lengths and colours lowers it. Neither children nor recordings are
named.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from childgait.engine.flags import Input, Output
from childgait.params import Reidentify

if TYPE_CHECKING:
    from childgait.files.parts import Part

log = logging.getLogger("childgait")


def reidentify(
    train: Input,
    validation: Input,
    test: Input,
    clips: list[Input],
    audit: Output,
    page: Output,
    curve: Output,
    figure: Output,
    params: Reidentify,
    study: Path = Path("params.yaml"),
) -> None:
    """Write the audit of all children of a split: its numbers, a page, the protector's curve and its figure.

    `study` is the file whose section finetune describes silhouettes and the encoder's input.
    """
    from childgait.files.atomic import write_json, write_text
    from childgait.metrics.reidentification import Audit
    from childgait.models.registry import find_model, settings_of
    from childgait.params import load_params
    from childgait.report.reidentification import draw_curve, write_curve, write_page
    from childgait.training import reidentification

    whole = _open_parts([train, validation, test], clips)
    finetune = load_params(study)["finetune"]
    settings = finetune.model_copy(update={"frozen": finetune.frozen.model_copy(update={"encoder": params.encoder})})
    rows = []
    for row in reidentification.audit(whole, settings, params):
        log.info("reidentify: %s, strength %g: rank-1 %s", row.input, row.strength, row.identification.rank_1.value)
        rows.append(row)
    kinds = list(reidentification.halves_of(whole.clips)[1].values())
    result = Audit(
        children={kind: kinds.count(kind) for kind in sorted(set(kinds))},
        encoder=params.encoder,
        weights=settings_of(find_model(params.encoder), finetune).weights or "random",
        rows=rows,
    )
    write_json(audit, result.model_dump(exclude_none=True))
    write_text(page, write_page(result))
    write_curve(curve, result)
    draw_curve(figure, result)


def _open_parts(paths: list[Path], clips: list[Path]) -> Part:
    """Open the part tables as one, with their clips."""
    import polars as pl

    from childgait.files.parts import Part, open_part

    parts = [open_part(path, clips) for path in paths]
    return Part(pl.concat([part.table for part in parts]), [clip for part in parts for clip in part.clips])
