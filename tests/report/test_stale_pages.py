"""A page stays only as long as its child is tested or validated."""

from pathlib import Path

from childgait.report.stale_pages import ENDINGS, remove_stale_pages


def test_pages_of_other_children_are_removed(tmp_path: Path) -> None:
    for child in ("0003", "0007"):
        for ending in ENDINGS:
            (tmp_path / f"{child}{ending}").touch()
    others = ["index.html", "notes.txt"]
    for name in others:
        (tmp_path / name).touch()
    assert remove_stale_pages(tmp_path, ["0007", "0009"]) == ["0003"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([f"0007{e}" for e in ENDINGS] + others)
    assert remove_stale_pages(tmp_path, ["0007", "0009"]) == []
    assert remove_stale_pages(tmp_path / "none", ["0007"]) == []
