"""The params with which a scored child's videos are de-identified: those of the bundle, or stricter ones."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any


def covering_params(params: dict[str, Any], videos: Iterable[Path]) -> dict[str, Any]:
    """Return the bundle's params; people whom nothing detects may stay uncovered only in videos that `synthesize` made.

    A bundle of a synthetic study accepts them (`deidentify.unseen: accept`). For any other video the embedded detector
    looks, too, and a doubt holds the video for a person, as the preflight demands of a study.
    """
    deidentify = params["deidentify"]
    if deidentify["unseen"] == "hold" or "sam3" in deidentify["backends"] or all(map(is_synthetic, videos)):
        return params
    backends = list(dict.fromkeys([*deidentify["backends"], "blazepose"]))
    return params | {"deidentify": deidentify | {"unseen": "hold", "backends": backends}}


def is_synthetic(video: Path) -> bool:
    """Return whether a video lies in a cohort that `synthesize` made: COHORT/dataset/CHILD/VIDEO."""
    return len(video.parents) > 2 and (video.parents[2] / "cohort.json").is_file()
