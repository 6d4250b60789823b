"""The smallest bundle that opens: one run of the model `coin`, with made-up limits and performance."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from childgait.domain.evgs import CODES, TARGET_NAMES, default_views
from childgait.files.hashes import sha256, sha256_of_text
from childgait.files.model_description import ModelDescription
from childgait.metrics.repeatability import StudyRepeatability
from childgait.training.bundle import FORMAT, REFERENCE, BundleDescription, write_description
from support.small_study import PARAMS, settings


def small_bundle(folder: Path) -> Path:
    """Write bundle.json and weights.safetensors; return the folder."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    arrays = {"coin/holdout-0/seed": np.ones(1), **{REFERENCE + name: np.ones(3) for name in ("centre", "scale")}}
    save_file(arrays, folder / "weights.safetensors")
    write_description(folder / "bundle.json", BundleDescription.model_validate(facts_of(folder)))
    return folder


def facts_of(folder: Path) -> dict[str, Any]:
    """Return the content of bundle.json without its hash."""
    cell = {"value": 0.5}
    limits = {kind: {"cells": 9, "least_probability": 0.1} for kind in ("typical", "atypical")}
    shares = ("coverage", "coverage_typical", "coverage_atypical", "share_answered", "accuracy_answered")
    performance = {"children": 9, "atypical": 4, "accuracy": cell, "sensitivity": cell, "specificity": cell}
    measured = {"cells": 9, **dict.fromkeys(shares, cell)}
    described = ModelDescription(
        model="coin",
        kind="table",
        remark="",
        fold="holdout",
        seed=0,
        settings=settings().of_run(),
        split_hash="0" * 64,
        children={"train": ["0001"]},
        clips={"train": 1},
        kept_epoch=0,
        facts={"learns": 1},
    )
    recalibration = {
        "log_weight": dict.fromkeys(TARGET_NAMES, 0.0),
        "intercept": dict.fromkeys(CODES, 0.0),
        "slope": dict.fromkeys(CODES, 1.0),
        "pooled_intercept": 0.0,
        "pooled_slope": 1.0,
    }
    return {
        "format": FORMAT,
        "childgait": "0",
        "main": "coin",
        "runs": [{"description": described.model_dump(), "recalibration": recalibration}],
        "params": PARAMS,
        "views": {code: list(default_views()[code]) for code in CODES},
        "error_rate": 0.1,
        "limits": dict.fromkeys(CODES, limits),
        "total_error": {"limb": 2.0, "both": 3.0},
        "calibration_children": 9,
        "abstention": dict.fromkeys([*CODES, "overall"], measured),
        "performance": dict.fromkeys(TARGET_NAMES, performance),
        "test_children": 9,
        "repeatability": {field: {} for field in StudyRepeatability.model_fields},
        "reference_children": 9,
        "distance_limit": 1.0,
        "split_hashes": {"holdout": "0" * 64},
        "synthetic": True,
        "card": {},
        "sources": {},
        "environment": {},
        "weights_sha256": sha256(folder / "weights.safetensors"),
    }


def rewrite(folder: Path, change: Any) -> Path:
    """Change the values of bundle.json (`change` edits them in place) and state the right hashes again."""
    path = folder / "bundle.json"
    values = json.loads(path.read_text())
    values.pop("hash")
    values["weights_sha256"] = sha256(folder / "weights.safetensors")
    change(values)
    body = json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False)
    path.write_text(f'{body[:-2]},\n "hash": "{sha256_of_text(body)}"\n}}\n')
    return folder
