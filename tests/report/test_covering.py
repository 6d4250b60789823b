"""The covers of a scored child: what a synthetic study accepts, a video of a person must not get."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from childgait.report.child.covering import covering_params

PARAMS: dict[str, Any] = {
    "deidentify": {"backends": ["centerface"], "unseen": "accept"},
    "segment": {"backend": "auto"},
}


def video_of(root: Path, *, synthetic: bool) -> Path:
    child = root / "dataset" / "0001"
    child.mkdir(parents=True)
    if synthetic:
        (root / "cohort.json").write_text("{}")
    return child / "0001-0001_left_1-100.mp4"


def test_a_video_that_synthesize_made_keeps_the_params_of_the_bundle(tmp_path: Path) -> None:
    assert covering_params(PARAMS, [video_of(tmp_path, synthetic=True)]) is PARAMS


def test_any_other_video_is_held_on_doubt_and_looked_at_by_the_embedded_model(tmp_path: Path) -> None:
    made = video_of(tmp_path / "made", synthetic=True)
    for videos in ([video_of(tmp_path / "real", synthetic=False)], [made, Path("side.mp4")]):
        params = covering_params(PARAMS, videos)
        assert params["deidentify"] == {"backends": ["centerface", "blazepose"], "unseen": "hold"}
        assert params["segment"] is PARAMS["segment"]
    assert PARAMS["deidentify"]["unseen"] == "accept"  # the bundle's own are as they were


@pytest.mark.parametrize(
    "deidentify", [{"backends": ["centerface"], "unseen": "hold"}, {"backends": ["sam3"], "unseen": "accept"}]
)
def test_stricter_params_of_a_bundle_are_kept(deidentify: dict[str, Any]) -> None:
    params = {"deidentify": deidentify}
    assert covering_params(params, [Path("side.mp4")]) is params
