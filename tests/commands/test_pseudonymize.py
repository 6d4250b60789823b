"""Numbers in place of names: the same under the same key, others under another, and never without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from childgait.commands.pseudonymize import number_of, pseudonymize
from childgait.errors import StepError
from childgait.files.recordings import list_recordings


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    for name in ("Anna Example", "Ben Muster"):
        folder = tmp_path / "clinic" / name / f"{name}-0001_left_1-240_filtered_pose"
        folder.mkdir(parents=True)
        (folder / "frame_000001.json").write_text("{}")
        (folder.parent / f"{name}-0001_left_1-240.mp4").write_bytes(b"video")
    key = tmp_path / "cohort.key"
    key.write_bytes(bytes(range(32)))
    key.chmod(0o600)
    return tmp_path


def test_names_become_numbers_in_the_releases_layout(cohort: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = cohort / "raw" / "dataset"
    pseudonymize(cohort / "clinic", out, cohort / "cohort.key")
    anna = number_of("Anna Example", bytes(range(32)))
    assert (out / anna / f"{anna}-0001_left_1-240.mp4").read_bytes() == b"video"
    assert (out / anna / f"{anna}-0001_left_1-240_filtered_pose" / "frame_000001.json").exists()
    assert len(list_recordings(out.parent)) == 2
    assert not [path for path in out.rglob("*") if "Anna" in str(path) or "Ben" in str(path)]
    assert "Anna" not in capsys.readouterr().out


def test_a_number_needs_the_key() -> None:
    assert number_of("Anna", b"a" * 32) == number_of(" anna ", b"a" * 32)
    assert number_of("Anna", b"a" * 32) != number_of("Anna", b"b" * 32)
    assert number_of("Anna", b"a" * 32) != number_of("Ben", b"a" * 32)


def test_a_dry_run_writes_nothing(cohort: Path) -> None:
    pseudonymize(cohort / "clinic", cohort / "out", cohort / "cohort.key", dry_run=True)
    assert not (cohort / "out").exists()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: (root / "cohort.key").unlink(), "there is no key"),
        (lambda root: (root / "cohort.key").chmod(0o644), "other users may read"),
        (lambda root: (root / "cohort.key").write_bytes(b"secret"), "has 6 bytes"),
        (
            lambda root: (root / "clinic" / "Ben Muster" / "with Ben Muster.txt").write_text(""),
            "elsewhere than at its beginning",
        ),
        (
            lambda root: (root / "clinic" / "Ben Muster" / "Anna Example.txt").write_text(""),
            "elsewhere than at its beginning",
        ),
    ],
)
def test_what_would_tell_a_name_is_refused(cohort: Path, spoil, message: str) -> None:  # type: ignore[no-untyped-def]
    spoil(cohort)
    with pytest.raises(StepError, match=message):
        pseudonymize(cohort / "clinic", cohort / "out", cohort / "cohort.key")
    assert not (cohort / "out").exists()


def test_nothing_is_overwritten(cohort: Path) -> None:
    pseudonymize(cohort / "clinic", cohort / "out", cohort / "cohort.key")
    with pytest.raises(StepError, match="exists already"):
        pseudonymize(cohort / "clinic", cohort / "out", cohort / "cohort.key")
