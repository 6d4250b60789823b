"""Finds the rhythm of a walk from the alternation of the feet: stride duration and the mid-stances of both limbs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import LIMBS, Limb, View
from childgait.domain.poses import Poses
from childgait.domain.skeleton import INDEX
from childgait.gait.body import body_height
from childgait.gait.events.table import GaitEvent, Kind
from childgait.gait.filters import band_pass

Floats = NDArray[np.float64]

SHORTEST_STRIDE, LONGEST_STRIDE = 0.5, 2.4  # seconds; children with a walking frame are slow
FEWEST_FRAMES = 20  # with both ankles
LEAST_SHARE = 0.3  # of the frames that show both ankles

# The levels below were chosen on synthetic children who are in no cohort (bench/pose.py).
RATE = 60.0  # per second, of the even grid
BAND = (0.45, 1.6)  # of the stride frequency, passed by the filter
AMPLITUDE_QUANTILE, LEAST_AMPLITUDE = 0.9, 0.25  # a mid-stance needs this share of that quantile of the oscillation
AMPLITUDE_FRAMES = 31  # over which the local amplitude is averaged
SMALLEST_RANGE = 0.03  # body heights, of an oscillation that may be walking
LEAST_CORRELATION = 0.15  # with itself one stride later
LEAST_ANTICORRELATION = 0.2  # with itself half a stride later, where the video has less than two strides
FIRST_PEAK = 0.8  # of the highest correlation, from which an earlier peak is taken: later ones are multiples


@dataclass(frozen=True)
class Walk:
    """Poses of one walk with its rhythm: what every method of event detection reads."""

    poses: Poses
    view: View
    facing: int  # 1 to the picture's right, -1 to its left, 0 unclear
    height: Floats  # (T,) body height in pixels
    mid_stances: dict[Limb, Floats]  # seconds at which each limb stands alone
    stride_seconds: float

    def event(self, limb: Limb, kind: Kind, seconds: float, method: str) -> GaitEvent:
        """Return an event at the frame nearest to `seconds`."""
        return GaitEvent(limb, kind, seconds, int(np.argmin(np.abs(self.poses.seconds - seconds))), method)

    def covers(self, seconds: float) -> bool:
        """Return whether a moment is inside the video."""
        return bool(self.poses.seconds[0] <= seconds <= self.poses.seconds[-1])

    def events(self, limb: Limb, contacts: list[float], offs: list[float], method: str) -> list[GaitEvent]:
        """Return the events at those of the moments that are inside the video."""
        return [
            *(self.event(limb, "contact", time, method) for time in contacts if self.covers(time)),
            *(self.event(limb, "foot_off", time, method) for time in offs if self.covers(time)),
        ]


def opposite(limb: Limb) -> Limb:
    return "right" if limb == "left" else "left"


def find_unfit_reason(poses: Poses, height: Floats) -> str:
    """Return why the poses are too few to look for events; empty if they are enough."""
    ankles = poses.seen[:, [INDEX["left_ankle"], INDEX["right_ankle"]]].all(axis=1)
    if not ankles.any() or not np.isfinite(height).any():
        return "the ankles are never seen together"
    seconds = float(poses.seconds[ankles][-1] - poses.seconds[ankles][0])
    if seconds < SHORTEST_STRIDE or np.count_nonzero(ankles) < FEWEST_FRAMES:
        return f"the ankles are seen for {seconds:.1f} s only, less than a stride"
    if ankles.mean() < LEAST_SHARE:
        return f"the ankles are seen in {100 * ankles.mean():.0f} % of the frames only"
    return ""


def find_walk(poses: Poses, view: View, facing: int, height: Floats | None = None) -> Walk:
    """Return the walk; without an oscillation it has no mid-stances."""
    height = body_height(poses.xy) if height is None else height
    mid_stances, stride = _mid_stances(_alternation(poses, view, facing, height), poses.seconds, view)
    return Walk(poses, view, facing, height, mid_stances, stride)


def _alternation(poses: Poses, view: View, facing: int, height: Floats) -> Floats:
    """Return left minus right ankle (T,) in body heights: along the way in a side view, downwards in an end view."""
    ankles = poses.xy[:, [INDEX["left_ankle"], INDEX["right_ankle"]]].astype(np.float64)
    difference = (ankles[:, 0] - ankles[:, 1]) / height[:, None]
    if view in ("left", "right"):
        return np.asarray(difference[:, 0] * (facing or (1 if view == "right" else -1)))
    return np.asarray(difference[:, 1])


def _mid_stances(alternation: Floats, seconds: Floats, view: View) -> tuple[dict[Limb, Floats], float]:
    """Return when each limb stands alone, and the stride's duration, both in seconds.

    In a side view the left limb stands alone as its ankle falls behind the right one, the right limb as the left ankle
    overtakes. Towards the camera it is the same (the ankle ahead is lower in the picture); away from the camera the
    standing ankle is simply the lower one.
    """
    known = np.flatnonzero(np.isfinite(alternation))
    grid = np.arange(seconds[known[0]], seconds[known[-1]], 1 / RATE)
    even = np.interp(grid, seconds[known], alternation[known])
    stride = _stride_duration(even, RATE)
    if stride is None:
        return {limb: np.zeros(0) for limb in LIMBS}, 0.0
    wave = band_pass(even - np.median(even), RATE, BAND[0] / stride, min(BAND[1] / stride, 0.4 * RATE))
    if view == "backward":
        left, right = _peaks(wave), _peaks(-wave)
    else:
        left, right = _upward_crossings(-wave), _upward_crossings(wave)
    least = LEAST_AMPLITUDE * np.quantile(np.abs(wave), AMPLITUDE_QUANTILE)
    amplitude = np.sqrt(np.convolve(wave**2, np.ones(AMPLITUDE_FRAMES) / AMPLITUDE_FRAMES, "same"))
    moments = {"left": left, "right": right}
    return {
        limb: grid[0] + moments[limb][amplitude[moments[limb].astype(int)] > least] / RATE for limb in LIMBS
    }, stride


def _stride_duration(wave: Floats, rate: float) -> float | None:
    """Return the stride's duration in seconds from the wave's autocorrelation; None where there is none."""
    wave = wave - np.median(wave)
    if len(wave) < SHORTEST_STRIDE * rate or np.ptp(wave) < SMALLEST_RANGE:
        return None
    size = 1 << (2 * len(wave) - 1).bit_length()
    power = np.fft.irfft(np.abs(np.fft.rfft(wave, size)) ** 2)[: len(wave)]
    correlation = power / power[0] * (len(wave) / np.arange(len(wave), 0, -1)) ** 0.5
    low, high = round(SHORTEST_STRIDE * rate), min(round(LONGEST_STRIDE * rate), round(0.8 * len(wave)))
    peaks = [n for n in range(low, high) if correlation[n] >= correlation[n - 1 : n + 2].max()]
    peaks = [n for n in peaks if correlation[n] > LEAST_CORRELATION]
    if not peaks:  # less than two strides: the half wave is all there is
        dip = low // 2 + int(np.argmin(correlation[low // 2 : max(high, low // 2 + 1)]))
        plausible = SHORTEST_STRIDE < 2 * dip / rate < LONGEST_STRIDE
        return 2 * dip / rate if correlation[dip] < -LEAST_ANTICORRELATION and plausible else None
    best = max(peaks, key=lambda n: correlation[n])
    return min(n for n in peaks if correlation[n] > FIRST_PEAK * correlation[best]) / rate


def _upward_crossings(wave: Floats) -> Floats:
    """Return where a wave rises through zero, between samples; not at its ends, which the filter makes zero."""
    at = np.flatnonzero((wave[:-1] < 0) & (wave[1:] >= 0))
    at = at[(at > 0) & (at < len(wave) - 2)]
    return np.asarray(at + wave[at] / (wave[at] - wave[at + 1]))


def _peaks(wave: Floats) -> Floats:
    """Return the samples at which a wave has a positive maximum."""
    at = np.flatnonzero((wave[1:-1] > wave[:-2]) & (wave[1:-1] >= wave[2:]) & (wave[1:-1] > 0)) + 1
    return at.astype(np.float64)
