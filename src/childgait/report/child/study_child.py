"""One child of a finished study: its recordings as a visit, and the logits that `evaluate` wrote for it.

The page of a child in the test or validation part is made of these by the code that serves `childgait score`. Only runs
that were not trained on the child count: those that tested on it or, if there are none, those that validated on it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from childgait.domain.evgs import TARGET_NAMES
from childgait.domain.names import parse_video_name
from childgait.errors import StepError
from childgait.files.clips import ENDING as CLIP
from childgait.files.hashes import sha256, sha256_of_text
from childgait.metrics.aggregate import mean_by_child
from childgait.metrics.of_study import run_key
from childgait.report.child.assess import Logits, Visit
from childgait.training.bundle import Bundle

PARTS = ("test", "validation")  # in this order of preference


def study_logits(predictions: list[Path], child: str, bundle: Bundle) -> tuple[str, Logits]:
    """Return the child's part, and its logits (34,) by run; NaN where no view of the child shows the item."""
    tables = {}
    for path in predictions:
        key = run_key(path)
        own = (pl.col("level") == "video") & (pl.col("subject") == child)
        tables[f"{key.model}/{key.fold}-{key.seed}"] = pl.read_parquet(path).filter(own)
    for part in PARTS:
        rows = {run: table.filter(pl.col("part") == part) for run, table in tables.items()}
        if any(table.height for table in rows.values()):
            return part, {run: _child_logits(table, bundle) for run, table in rows.items() if table.height}
    raise StepError(
        f"child {child} is in the test or validation part of no run that was given",
        hint="give the predictions of the study's models; a child that a model was trained on has no page",
    )


def _child_logits(table: pl.DataFrame, bundle: Bundle) -> np.ndarray:
    """Average the logits of a child's videos over those whose view shows the item, as evaluate does."""
    wide = table.pivot("target", index=["video", "view"], values="logit").sort("video")
    logits, visible = wide.select(TARGET_NAMES).to_numpy().astype(np.float64), bundle.visible()
    shown = np.stack([visible[view] for view in wide["view"]])
    return mean_by_child(logits, shown, np.zeros(len(logits), object), [0])[0]  # type: ignore[list-item]


def study_visit(child: str, files: list[Path], subjects: Path, part: str) -> Visit:
    """Return the recordings of a child as one visit: evaluate averages over all of them."""
    named = {f"{path.parent.name}/{path.name}": path for path in files}
    videos = sorted(path.name.removesuffix(CLIP) for path in files if path.name.endswith(CLIP))
    if not videos:
        raise StepError(f"no clip of child {child} was given", hint="give the outputs of the steps of its recordings")
    sessions = sorted({parse_video_name(video).session for video in videos})
    rows = pl.read_parquet(subjects).filter(pl.col("subject") == child).to_dicts()
    age, sex = (rows[0]["age_years"], rows[0]["sex"]) if rows else (None, "unknown")
    return Visit(child, ", ".join(sessions), age, sex, videos, {}, part=part, files=named)


def hash_of_files(bundle: Bundle, paths: list[Path]) -> str:
    """Return one hash of the bundle and of the content of every file that a page is made of."""
    return sha256_of_text("\n".join([bundle.hash, *(f"{path.name} {sha256(path)}" for path in sorted(paths))]))
