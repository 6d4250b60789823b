"""JSON files of a run are read as typed values, up to a size."""

from __future__ import annotations

from pathlib import Path

import pytest

from childgait.errors import StepError
from childgait.files import json_files
from childgait.files.json_files import read_typed


def test_a_file_above_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.json"
    path.write_text("[1, 2]")
    assert read_typed(path, list[int], hint="run it again") == [1, 2]
    monkeypatch.setattr(json_files, "LARGEST", 5)
    with pytest.raises(StepError, match=r"model\.json is larger than"):
        read_typed(path, list[int], hint="run it again")
