"""The published rows stand under the right items."""

from types import SimpleNamespace
from typing import Any

import pytest

from childgait.domain.evgs import CODES
from childgait.report.published import AVERAGES, ITEM_ACCURACY, item_accuracy
from childgait.report.sections import frames_rows


def test_items_are_read_by_code_and_not_by_column() -> None:
    ours = item_accuracy("ChildGait-Video", "left")
    assert set(ours) == set(CODES)
    assert (ours["WAD"], ours["HVV"], ours["FCL"]) == (70, 88, 89)  # column 4 of the page is WAD, item 7
    assert item_accuracy("VideoMAE v2", "right")["TSG"] == 85


@pytest.mark.parametrize(("name", "limb"), list(ITEM_ACCURACY))
def test_cells_average_to_the_published_average(name: str, limb: str) -> None:
    (row,) = [row for row in AVERAGES if row.name == name]
    stated = {"left": row.left, "right": row.right}[limb]
    assert sum(item_accuracy(name, limb).values()) / 17 == pytest.approx(stated, abs=1.0)


def test_all_published_rows_are_there_once() -> None:
    assert len({row.name for row in AVERAGES}) == len(AVERAGES) == 25


def test_the_table_of_frames_has_the_published_accuracies() -> None:
    def trained(frames: int) -> Any:
        return SimpleNamespace(trained=SimpleNamespace(frames=frames))

    cell = {"balanced_accuracy": SimpleNamespace(value=0.6), "f1": SimpleNamespace(value=0.5)}
    metrics = SimpleNamespace(groups={"item.IC": cell}, balanced={"item.IC": cell})
    lengths = {"childgait_video": 16, "childgait_video_t8": 8, "childgait_video_t32": 32, "tcn": 64}
    runs = {name: trained(frames) for name, frames in lengths.items()}
    study = SimpleNamespace(scope="holdout", first_runs=lambda: runs, metrics={"holdout": dict.fromkeys(runs, metrics)})
    rows = frames_rows(study)  # type: ignore[arg-type]
    assert [row.frames for row in rows] == [8, 16, 32]
    assert [row.published for row in rows] == [0.741, 0.870, 0.907]
    assert [row.accuracy for row in rows] == [0.6] * 3
    study.metrics["holdout"] = {"childgait_video": metrics}
    assert frames_rows(study) == []  # type: ignore[arg-type]
