"""A laboratory's angles are compared on its own time axis; offset, noise and shape are measured apart."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from childgait.commands.compare_lab import compare_lab
from childgait.domain.evgs import LIMBS
from childgait.errors import StepError
from childgait.files.tables import write_table
from childgait.gait.kinematics import ANGLES, CURVES
from childgait.gait.lab_angles import JOINTS, compare_angles, compare_curves, multiple_correlation, read_lab_angles
from childgait.synthetic.child import draw_child
from childgait.synthetic.motion import Motion, walk

LAB = np.arange(0, 3, 0.01)  # 100 Hz
VIDEO = np.arange(0, 3, 1 / 60)


def write_lab(path: Path, seed: int = 0) -> Path:
    """Write the exact angles of a synthetic child as a laboratory's CSV."""
    motion = walk(draw_child("0001", np.random.default_rng(seed)), LAB)
    frames = [
        pl.DataFrame({"seconds": LAB} | {joint: motion.curves[limb][joint] for joint in JOINTS}).with_columns(
            limb=pl.lit(limb)
        )
        for limb in LIMBS
    ]
    pl.concat(frames).write_csv(path)
    return path


def write_c3d(path: Path, motion: Motion, prefix: str = "") -> None:
    """Write the exact angles of a walk as Plug-in Gait's labels, each as one point of three coordinates."""
    ezc3d = pytest.importorskip("ezc3d")
    labels = {
        f"{prefix}{limb[0].upper()}{joint.capitalize()}Angles": motion.curves[limb][joint]
        for limb in LIMBS
        for joint in JOINTS
    }
    file = ezc3d.c3d()
    points = np.zeros((4, len(labels), len(LAB)))
    points[0] = list(labels.values())
    file["parameters"]["POINT"]["RATE"]["value"] = [100.0]
    file["parameters"]["POINT"]["LABELS"]["value"] = list(labels)
    file["data"]["points"] = points
    file.write(str(path))


def video_curves(offset: float, noise: float, shift: float = 0.0) -> dict[tuple[str, str], np.ndarray]:
    motion = walk(draw_child("0001", np.random.default_rng(0)), VIDEO + shift)
    rng = np.random.default_rng(1)
    return {
        (limb, joint): motion.curves[limb][joint] + offset + rng.normal(0, noise, len(VIDEO))
        for limb in LIMBS
        for joint in JOINTS
    }


def test_offset_and_noise_are_recovered(tmp_path: Path) -> None:
    laboratory = read_lab_angles(write_lab(tmp_path / "walk.csv"))
    rows = compare_angles(VIDEO, video_curves(4.0, 1.0), laboratory)
    assert {(row.limb, row.joint) for row in rows} == {(limb, joint) for limb in LIMBS for joint in JOINTS}
    for row in rows:
        assert row.bias == pytest.approx(4, abs=0.3)
        assert row.rmse == pytest.approx(np.hypot(4, 0.85), abs=0.4)  # noise is smaller between samples
        assert row.rmse_without_offset < 1.3
        assert row.low < row.bias < row.high
    knee = next(row for row in rows if row.joint == "knee")
    assert knee.cmc is not None
    assert knee.cmc > 0.95


def test_clocks_that_differ_are_shifted(tmp_path: Path) -> None:
    laboratory = read_lab_angles(write_lab(tmp_path / "walk.csv"))
    late = video_curves(0.0, 0.0, shift=0.25)  # the video's 0 is the laboratory's 0.25
    unshifted = {(row.limb, row.joint): row.rmse for row in compare_angles(VIDEO, late, laboratory)}
    shifted = {(row.limb, row.joint): row.rmse for row in compare_angles(VIDEO, late, laboratory, shift=0.25)}
    assert max(shifted.values()) < 1 < unshifted["left", "knee"]


def test_multiple_correlation_of_equal_and_of_unrelated_curves() -> None:
    wave = np.sin(np.linspace(0, 6, 100))
    assert multiple_correlation(wave, wave) == pytest.approx(1)
    assert multiple_correlation(wave, wave + 50) is None
    assert compare_curves("left", "knee", wave[:5], wave[:5]) is None


def test_the_command_prints_a_table_and_writes_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    curves = video_curves(2.0, 0.0)
    frames = []
    for limb in LIMBS:
        columns = {name: curves.get((limb, name), np.full(len(VIDEO), np.nan)).astype(np.float32) for name in CURVES}
        frame = pl.DataFrame({"frame": np.arange(len(VIDEO), dtype=np.int32), "seconds": VIDEO} | columns)
        frames.append(frame.with_columns(limb=pl.lit(limb)))
    angles = tmp_path / "walk.angles.parquet"
    write_table(angles, pl.concat(frames), ANGLES)
    laboratory = write_lab(tmp_path / "walk.csv")
    compare_lab(laboratory, angles, page=tmp_path / "page.md")
    assert "| left | knee |" in capsys.readouterr().out
    assert "bias is video minus laboratory" in (tmp_path / "page.md").read_text()
    with pytest.raises(StepError, match="have no joint at the same time"):
        compare_lab(laboratory, angles, shift=100.0)


def test_what_is_no_laboratory_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "walk.csv"
    path.write_text("seconds,knee\n0,1\n")
    with pytest.raises(StepError, match=r"lacks the column\(s\) limb"):
        read_lab_angles(path)
    path.write_text("seconds,limb,knee\n0,l,1\n")
    with pytest.raises(StepError, match="limb is 'l'"):
        read_lab_angles(path)
    path = tmp_path / "walk.c3d"
    path.write_bytes(b"\2\x50" + bytes(1022))
    with pytest.raises(StepError, match="is no whole C3D file"):
        read_lab_angles(path)


def test_a_c3d_file_of_the_true_angles_gives_them_back(tmp_path: Path) -> None:
    path = tmp_path / "walk.c3d"
    write_c3d(path, walk(draw_child("0001", np.random.default_rng(0)), LAB))
    laboratory = read_lab_angles(path)
    exact = read_lab_angles(write_lab(tmp_path / "walk.csv"))
    assert np.allclose(laboratory.seconds, LAB)
    assert laboratory.curves.keys() == exact.curves.keys()
    for key, curve in laboratory.curves.items():
        assert np.allclose(curve, exact.curves[key], atol=1e-3)  # C3D holds 32-bit floats
    for row in compare_angles(VIDEO, video_curves(4.0, 1.0), laboratory):
        assert row.bias == pytest.approx(4, abs=0.3)
        assert row.low < row.bias < row.high


def test_a_c3d_file_without_joint_angles_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "markers.c3d"
    write_c3d(path, walk(draw_child("0001", np.random.default_rng(0)), LAB), prefix="Marker")
    with pytest.raises(StepError, match="has no joint angles"):
        read_lab_angles(path)
