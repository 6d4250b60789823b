"""`childgait weights`: every file of weights, its origin and licence, and whether it is there."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from childgait.commands.weights import weights
from childgait.files.pretrained import SHIPPED
from childgait.params import load_params
from childgait.preflight import weights as catalogue
from childgait.preflight.weights import PUBLISHED, check_file, check_weights, required_weights, value_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def edited(tmp_path: Path, *changes: tuple[str, str]) -> Path:
    text = (ROOT / "params.yaml").read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    (tmp_path / "params.yaml").write_text(text)
    return tmp_path / "params.yaml"


def test_the_repository_has_its_weights(capsys: pytest.CaptureFixture[str]) -> None:
    assert weights(ROOT / "params.yaml") == 0
    printed = capsys.readouterr().out
    for words in ("CenterFace", "RetinaFace", "SAM 3", "Sapiens 2", "BlazePose", "VideoMAE v2", "DINOv2", "Apache-2.0"):
        assert words in printed
    assert "FAIL" not in printed
    assert printed.count("ok: sha256") >= 5  # CenterFace, three of BlazePose, the shipped encoder


def test_every_key_of_the_list_is_a_key_of_params() -> None:
    sections = load_params(ROOT / "params.yaml")
    for one in PUBLISHED:
        assert one.origin
        assert one.licence
        for key in one.keys:
            assert isinstance(value_of(sections, key.path), str)
            assert isinstance(value_of(sections, key.sha256), str)


def test_a_backend_without_its_file_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    params = edited(tmp_path, ("backends: [centerface]", "backends: [centerface, retinaface]"))
    assert required_weights(load_params(params)) == {"deidentify.retinaface_weights": ""}
    assert weights(params) == 1
    assert "1 problem(s)" in capsys.readouterr().out


def test_a_named_file_is_compared_with_its_sha256(tmp_path: Path) -> None:
    folder = tmp_path / "sapiens"
    folder.mkdir()
    file = folder / "model.safetensors"
    save_file({"a": np.zeros(3, np.float32)}, file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()

    def state_of(sha256: str) -> tuple[str, str]:
        section = "\nestimate_pose:"
        params = tmp_path / "params.yaml"
        text = (ROOT / "params.yaml").read_text()
        before, after = text.split(section)
        after = after.replace("  weights: ''", f"  weights: {folder}", 1)
        after = after.replace("  weights_sha256: ''", f'  weights_sha256: "{sha256}"', 1)
        params.write_text(before + section + after)
        line = next(one for one in check_weights(load_params(params)) if one.key == "estimate_pose.weights")
        return line.state, line.result

    assert state_of(digest)[0] == "ok"
    assert state_of("abc") == ("FAIL", f"sha256 {digest}, expected abc")


def test_a_checkpoint_of_a_network_is_checked(tmp_path: Path) -> None:
    own = tmp_path / "own.safetensors"
    shutil.copy(SHIPPED / "childgait_video.safetensors", own)
    override = f"overrides: {{childgait_video: {{weights: {own}}}}}"
    params = tmp_path / "params.yaml"
    text = (ROOT / "params.yaml").read_text()
    lines = [f"  {override}" if line.startswith("  overrides:") else line for line in text.splitlines()]
    params.write_text("\n".join(lines) + "\n")

    def line() -> tuple[str, str, str]:
        key = "finetune.overrides.childgait_video.weights"
        one = next(one for one in check_weights(load_params(params)) if one.key == key)
        return one.weights.name, one.state, one.result

    assert line()[:2] == ("VideoMAE v2, Kinetics-710", "FAIL")  # without a description it is a published file
    shutil.copy(SHIPPED / "childgait_video.json", tmp_path / "own.json")
    assert line()[:2] == ("pre-trained encoder of this repository", "ok")
    own.write_bytes(own.read_bytes()[:-1])
    assert line()[1] == "FAIL"
    own.unlink()
    assert line()[1:] == ("FAIL", "does not exist")


@pytest.mark.parametrize("name", ["a.safetensors", "a.onnx", "a.pth"])
def test_a_file_of_another_kind_is_a_failure(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"\x01\x02 this is no file of weights")
    state, result = check_file(path, hashlib.sha256(path.read_bytes()).hexdigest())
    assert state == "FAIL"
    assert "no" in result or "neither" in result


def test_a_damaged_file_of_the_package_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in SHIPPED.glob("childgait_video.*"):
        shutil.copy(path, tmp_path)
    (tmp_path / "childgait_video.safetensors").write_bytes(b"cut off")
    monkeypatch.setattr(catalogue, "SHIPPED", tmp_path)
    assert weights(ROOT / "params.yaml") == 1
