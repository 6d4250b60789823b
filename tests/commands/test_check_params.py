"""`childgait check-params` beyond the sections themselves (tests/test_bad_input.py): where raw recordings would be sent."""

from pathlib import Path

import pytest

from childgait.commands.check_params import check_remotes
from childgait.errors import StepError


@pytest.mark.parametrize(
    ("name", "path", "remote"),
    [
        ("data/raw.dvc", "raw", ""),
        ("data.dvc", "data", ""),
        ("data/raw/dataset.dvc", "dataset", ""),
        ("data/raw.dvc", "raw", "remote: raw"),
        ("data/raw.dvc", "raw", "push: false"),
        ("data/other.dvc", "other", ""),
    ],
)
def test_recordings_must_name_their_remote(tmp_path: Path, name: str, path: str, remote: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(f"outs:\n- md5: d51834de0d0bf85d6a6c9a4c881ad503.dir\n  path: {path}\n  {remote}\n")
    if remote or path == "other":
        check_remotes(Path("data/raw"), tmp_path)
        return
    with pytest.raises(StepError, match="would send recordings with faces among derived data") as caught:
        check_remotes(Path("data/raw"), tmp_path)
    assert "remote: raw" in caught.value.hint
