"""The bands, applied to curves whose scores are known beforehand."""

from __future__ import annotations

import numpy as np
import pytest

from childgait.domain.evgs import CODES
from childgait.gait.normative import CYCLE, curves_at, pattern_change
from childgait.gait.scoring import STAND_INS, Measurement, Stride, bands_of, score_limb

STRIDE = Stride(contact=0.0, opposite_off=0.10, passing=0.30, opposite_contact=0.50, foot_off=0.60, next_contact=0.999)


def cycle(pattern: str = "normal", strength: float = 1.0) -> dict[str, np.ndarray]:
    """The planar curves of a pattern over one stride of a second, as the note's table scores them."""
    curves, _ = curves_at(0.43)
    change, _ = pattern_change(pattern, strength)
    joints = {name: curves[name] + change.get(name, 0) for name in ("hip", "knee", "ankle", "tilt")}
    joints["foot_pitch"] = joints["hip"] - joints["tilt"] - joints["knee"] + joints["ankle"]
    return joints


def scored(curves: dict[str, np.ndarray], stride: Stride = STRIDE) -> dict[str, Measurement]:
    return score_limb(CYCLE, curves, [stride])


def scores(curves: dict[str, np.ndarray], stride: Stride = STRIDE) -> dict[str, int]:
    return {code: result.score for code, result in scored(curves, stride).items()}


# What each pattern at moderate strength scores (the knee's terminal-swing item apart, whose band is narrow).
EXPECTED = {
    "normal": {},
    "true_equinus": {"IC": 2, "HL": 2, "SAD": 2, "WAD": 1},
    "jump": {"IC": 2, "HL": 2, "SAD": 1, "WAD": 1, "KEX": 1, "HEX": 1, "HFX": 1},
    "apparent_equinus": {"IC": 1, "HL": 2, "KEX": 2, "HEX": 1, "HFX": 1},
    "crouch_moderate": {"WAD": 1, "KEX": 2, "HEX": 1, "HFX": 1},
    "crouch_severe": {"SAD": 1, "WAD": 1, "KEX": 2, "HEX": 2, "HFX": 2},
    "stiff_knee": {"KFX": 1},
    "recurvatum": {"SAD": 1, "KEX": 1},
    "drop_foot": {"IC": 1, "WAD": 1},
    "drop_foot_steppage": {"IC": 1, "WAD": 1, "KFX": 1, "HFX": 1},
}


@pytest.mark.parametrize("pattern", EXPECTED)
def test_pattern_scores(pattern: str) -> None:
    result = scores(cycle(pattern))
    compared = ["IC", "SAD", "WAD", "KEX", "KFX", "HEX", "HFX"]
    if pattern in ("true_equinus", "jump", "apparent_equinus"):
        compared.append("HL")
    assert {c: result[c] for c in compared} == {c: EXPECTED[pattern].get(c, 0) for c in compared}


def test_measured_values_and_moments() -> None:
    result = scored(cycle())
    assert result["KFX"].value == pytest.approx(59.1, abs=0.5)
    assert result["KFX"].seconds == pytest.approx(0.72, abs=0.015)
    assert result["SAD"].value == pytest.approx(11.9, abs=0.3)
    assert result["HEX"].value == pytest.approx(5.8, abs=0.3)
    assert result["HEX"].seconds == pytest.approx(0.525, abs=0.015)
    assert result["IC"].seconds == 0.0


@pytest.mark.parametrize(
    ("rise", "expected"),
    [(0.20, 1), (0.35, 0), (0.49, 0), (0.55, 1)],  # before the feet are level, between, after the other foot's contact
)
def test_heel_rise_is_judged_by_the_other_foot(rise: float, expected: int) -> None:
    pitch = np.where(rise > CYCLE, 0.0, -30.0)
    pitch[0] = 15.0
    assert scores({"foot_pitch": pitch})["HL"] == expected


def test_a_heel_that_never_comes_down_or_forefoot_that_never_does_is_two() -> None:
    assert scores({"foot_pitch": np.full_like(CYCLE, -12.0)})["HL"] == 2
    assert scores({"foot_pitch": np.full_like(CYCLE, 9.0)})["HL"] == 2


def test_a_heel_that_comes_down_after_a_toe_contact_is_not_an_early_rise() -> None:
    pitch = np.where(CYCLE < 0.08, -8.0, np.where(CYCLE < 0.4, 0.0, -30.0))
    result = scores({"foot_pitch": pitch})
    assert (result["IC"], result["HL"]) == (2, 0)


@pytest.mark.parametrize(("pitch", "expected"), [(12.0, 0), (3.0, 1), (-3.0, 1), (-9.0, 2)])
def test_contact_is_heel_flat_or_toe(pitch: float, expected: int) -> None:
    assert scores({"foot_pitch": np.full_like(CYCLE, pitch)})["IC"] == expected


@pytest.mark.parametrize(
    ("height", "bend", "expected"),
    [(0.03, 0, 0), (0.005, 0, 1), (0.0, 0, 2), (0.15, 0, 0), (0.15, 80, 1), (0.005, 80, 2)],
)
def test_clearance_needs_a_bent_limb_to_be_a_high_step(height: float, bend: float, expected: int) -> None:
    curves = {
        "clearance": np.full_like(CYCLE, height),
        "hip": np.full_like(CYCLE, bend),
        "knee": np.full_like(CYCLE, bend),
    }
    assert scores(curves)["FCL"] == expected


@pytest.mark.parametrize("dip", [0.005, -0.004, -0.006, -0.02])
def test_a_foot_that_clears_later_is_reduced_and_does_not_drag(dip: float) -> None:
    clearance = np.full_like(CYCLE, 0.05)
    clearance[(CYCLE > 0.6 + 0.4 * 0.45) & (CYCLE < 0.6 + 0.4 * 0.55)] = dip
    assert scores({"clearance": clearance})["FCL"] == 1


@pytest.mark.parametrize(("shift", "expected"), [(0.06, 0), (0.2, 1), (0.4, 2), (-0.1, 1)])
def test_trunk_shift_is_taken_about_its_mean(shift: float, expected: int) -> None:
    towards = np.where(CYCLE < 0.6, shift, shift * (1 if shift < 0 else -1)) + 5.0
    towards[CYCLE >= 0.6] = 5.0 - 0.6 / 0.4 * shift  # mean 5
    assert scores({"trunk_shift": towards})["TLT"] == expected


@pytest.mark.parametrize(("support", "expected"), [(-0.2, 1), (-0.3, 1), (0.2, 1), (0.3, 2), (0.05, 0)])
def test_a_trunk_that_stays_over_the_other_limb_is_reduced(support: float, expected: int) -> None:
    """The shift passes through zero in double support, as in walking, so that stance as a whole has both signs."""
    shift = support * np.sin(np.pi * (CYCLE - 0.05) / 0.5)  # positive in single support, negative in swing
    result = scored({"trunk_shift": shift})["TLT"]
    assert result.score == expected
    assert np.sign(result.value) == np.sign(support)


def test_trunk_shift_does_not_depend_on_where_the_recording_ends() -> None:
    seconds = np.linspace(0, 2.7, 541)
    shift = 0.1 * np.sin(2 * np.pi * (seconds - 0.05))
    stride = Stride(0.0, 0.1, 0.3, 0.5, 0.6, 1.0)
    values = [
        score_limb(seconds[:n], {"trunk_shift": shift[:n]}, [stride])["TLT"].value for n in (201, 261, 401, 460, 541)
    ]
    assert values == pytest.approx([values[0]] * len(values))


def test_pelvis_foot_and_knee_direction_are_means_over_their_window() -> None:
    flat = np.ones_like(CYCLE)
    result = scored(
        {
            "obliquity": 8 * flat,
            "rotation": -20 * flat,
            "foot_rotation": 30 * flat,
            "hindfoot": -3 * flat,
            "knee_direction": -30 * flat,
            "trunk_lean": 8 * flat,
        }
    )
    assert {code: (round(f.value, 6), f.score) for code, f in result.items()} == {
        "POB": (8, 1),
        "PRT": (-20, 2),
        "FRT": (30, 1),
        "HVV": (-3, 1),
        "KPA": (-30, 2),
        "TSG": (8, 1),
    }


def test_what_cannot_be_measured_is_left_out() -> None:
    nan = float("nan")
    alone = Stride(0.0, nan, nan, nan, 0.6, 0.999)
    result = scores(cycle(), alone)
    assert "HL" not in result  # it needs the other foot
    assert "KFX" in result
    assert "TSG" not in result  # no such curve given
    assert score_limb(CYCLE, cycle(), []) == {}


def test_of_several_strides_the_median_counts() -> None:
    seconds = np.linspace(0, 3, 601)
    knee = np.where(seconds < 1, 40.0, np.where(seconds < 2, 60.0, 80.0))
    strides = [Stride(t, t + 0.1, t + 0.3, t + 0.5, t + 0.6, t + 0.99) for t in (0.0, 1.0, 2.0)]
    assert score_limb(seconds, {"knee": knee}, strides)["KFX"].value == 60.0


def test_every_item_has_bands() -> None:
    for code in CODES:
        bands = bands_of(code)
        assert bands.two_low <= bands.zero_low < bands.zero_high <= bands.two_high
    assert set(STAND_INS) == {"IC", "HL", "FCL", "KPA", "TLT"}
