"""The doctor says what is there, and fails for what would stop a run."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from childgait.commands import doctor as surgery
from childgait.commands.doctor import doctor, remotes, settings, tracking
from childgait.files import video

ROOT = Path(__file__).parents[2]


def test_this_installation_is_whole(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(ROOT)
    assert doctor(ROOT / "params.yaml", ROOT / "envs" / "requirements.lock") == 0
    output = capsys.readouterr().out
    for what in ("python", "torch", "GPU", "H.264", "reads hevc", "params.yaml", "weights", "MLflow", "DVC", "disk"):
        assert f" {what} " in output
    assert "FAIL" not in output


def edited(tmp_path: Path, old: str, new: str) -> Path:
    text = (ROOT / "params.yaml").read_text()
    assert old in text
    (tmp_path / "params.yaml").write_text(text.replace(old, new, 1))
    return tmp_path / "params.yaml"


def test_weights_are_found_by_hash(tmp_path: Path) -> None:
    weights = tmp_path / "face.onnx"
    weights.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    params = edited(tmp_path, "retinaface_weights: ''", f"retinaface_weights: {weights}")
    assert ("ok", "deidentify.retinaface_weights", f"{weights}, sha256 {digest}") in list(settings(params))
    params.write_text(params.read_text().replace("retinaface_sha256: ''", "retinaface_sha256: abc"))
    assert ("FAIL", "deidentify.retinaface_weights", f"{weights}, sha256 {digest}, not abc") in list(settings(params))
    weights.unlink()
    assert ("FAIL", "deidentify.retinaface_weights", f"{weights} does not exist") in list(settings(params))


def test_wrong_params_are_a_failure(tmp_path: Path) -> None:
    mark, _, result = next(settings(edited(tmp_path, "bootstrap:", "bootstraps:")))
    assert mark == "FAIL"
    assert "evaluate.bootstraps is no key" in result


def test_a_tracker_that_does_not_answer_is_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert [line[0] for line in tracking()] == ["FAIL"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/deep/mlflow.db")
    assert [line[0] for line in tracking()] == ["ok"]


def test_a_remote_that_is_gone_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "config").write_text(
        f"['remote \"near\"']\n    url = {tmp_path}/store\n['remote \"gone\"']\n    url = ../nowhere\n"
        "['remote \"far\"']\n    url = s3://bucket\n"
        "['remote \"unset\"']\n    url = /dev/null/no-address\n"
    )
    assert [line[0] for line in remotes(tmp_path)] == ["ok", "FAIL", "note"]


def test_a_codec_that_loses_pixels_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    lossless = video.write_video
    monkeypatch.setattr(
        video, "write_video", lambda path, frames, times: lossless(path, [f // 2 for f in frames], times)
    )
    assert ("FAIL", "H.264", "written and read losslessly: False") in list(surgery.codecs())


def test_a_missing_library_and_a_full_disk_are_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surgery, "LIBRARIES", {"no_such_library": "no-such-library"})
    assert ("FAIL", "no-such-library") in [line[:2] for line in surgery.versions(ROOT / "envs" / "requirements.lock")]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10**6}))
    assert [line[0] for line in surgery.disk(ROOT / "params.yaml")] == ["FAIL"]
