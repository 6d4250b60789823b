"""Draws the curves of every stride over the normative band, as SVG that stands inside the page."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import Limb
from childgait.gait.walk_summary import SHARES, NormCurves, StrideCurve

Floats = NDArray[np.float64]
TITLES = {
    "hip": ("Hip", "flexion"),
    "knee": ("Knee", "flexion"),
    "ankle": ("Ankle", "dorsiflexion"),
    "obliquity": ("Pelvis", "own side up"),
}
RANGES = {"hip": (-20, 70), "knee": (-15, 85), "ankle": (-45, 45), "obliquity": (-20, 20)}  # degrees
WIDTH, HEIGHT = 220, 150
LEFT, RIGHT, TOP, BOTTOM = 30, 6, 20, 20  # margins of the plot
COLOURS: dict[Limb, str] = {"left": "#b3261e", "right": "#1f5fbf"}
FIRST_VISIT = "#3d4650"


def draw_panel(curve: str, limb: Limb, strides: list[StrideCurve], norm: NormCurves) -> str:
    """Draw one curve of one limb: thin lines for strides, a thick one for their mean, grey for norm mean and ± 1 SD."""
    own = [one.values for one in strides if (one.limb, one.curve) == (limb, curve)]
    low, high = _range(curve, own)
    count = f"{len(own)} stride{'' if len(own) == 1 else 's'}"
    parts = [_axes(curve, limb, low, high, f"{TITLES[curve][1]} · {count}"), _band(norm, curve, low, high)]
    parts += [_line(values, low, high, COLOURS[limb], 0.8, opacity=0.5) for values in own]
    if own:
        parts.append(_line(np.mean(own, axis=0), low, high, COLOURS[limb], 2.2))
    else:
        middle = (LEFT + WIDTH - RIGHT) / 2
        parts.append(f'<text x="{middle}" y="{HEIGHT / 2}" class="none" text-anchor="middle">no complete stride</text>')
    title, direction = TITLES[curve]
    label = f"{title}, {limb} leg, degrees {direction}, over the gait cycle; {len(own)} strides"
    return _svg(label, parts)


def draw_two_visits(curve: str, limb: Limb, before: Floats | None, after: Floats | None, norm: NormCurves) -> str:
    """Draw the mean curve of both visits of one limb: the first dashed, the second solid, grey the norm's ± 1 SD."""
    known = [one for one in (before, after) if one is not None]
    low, high = _range(curve, known)
    title, direction = TITLES[curve]
    parts = [_axes(curve, limb, low, high, direction), _band(norm, curve, low, high)]
    if before is not None:
        parts.append(_line(before, low, high, FIRST_VISIT, 1.6, "5 3"))
    if after is not None:
        parts.append(_line(after, low, high, COLOURS[limb], 2.2))
    if len(known) < 2:
        words = "no complete stride" if not known else "one visit only"
        parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT / 2}" text-anchor="middle">{words}</text>')
    return _svg(f"{title}, {limb} leg, degrees {direction}, over the gait cycle; both visits", parts)


def _svg(label: str, parts: list[str]) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _band(norm: NormCurves, curve: str, low: float, high: float) -> str:
    """Draw the norm's mean ± 1 SD and its mean."""
    mean, sd = norm.mean[curve], norm.sd[curve]
    outline = [*_points(mean + sd, low, high), *reversed(_points(mean - sd, low, high))]
    area = f'<polygon points="{_text(outline)}" fill="#9aa5b1" fill-opacity=".38"/>'
    return area + _line(mean, low, high, "#6b7682", 1.0, "3 2")


def _range(curve: str, own: list[Floats]) -> tuple[float, float]:
    """Return the axis: the usual range, widened to the child's curves."""
    low, high = RANGES[curve]
    values = np.concatenate(own) if own else np.zeros(0)
    return float(min([low, *values])), float(max([high, *values]))


def _place(share: float, value: float, low: float, high: float) -> tuple[float, float]:
    x = LEFT + share * (WIDTH - LEFT - RIGHT)
    y = TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)
    return round(x, 1), round(y, 1)


def _points(values: Floats, low: float, high: float) -> list[tuple[float, float]]:
    return [_place(share, value, low, high) for share, value in zip(SHARES, values, strict=True)]


def _text(points: list[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in points)


def _line(
    values: Floats, low: float, high: float, colour: str, width: float, dashes: str = "", opacity: float = 1.0
) -> str:
    dash = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<polyline points="{_text(_points(values, low, high))}" fill="none" stroke="{colour}" '
        f'stroke-width="{width}" stroke-opacity="{opacity}"{dash}/>'
    )


def _axes(curve: str, limb: Limb, low: float, high: float, remark: str) -> str:
    """Draw title, axes and grid; the remark stands at the top right."""
    title = TITLES[curve][0]
    step = 10 if high - low <= 50 else 20 if high - low <= 110 else 40
    ticks = [tick for tick in range(-200, 201, step) if low <= tick <= high]
    lines = []
    for tick in ticks:
        _, y = _place(0, tick, low, high)
        shade = "#b8c0c9" if tick == 0 else "#e3e7eb"
        lines.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="{shade}"/>')
        lines.append(f'<text x="{LEFT - 4}" y="{y + 3}" text-anchor="end">{tick}°</text>')
    for share in (0.0, 0.5, 1.0):
        x, _ = _place(share, low, low, high)
        anchor = {0.0: "start", 0.5: "middle", 1.0: "end"}[share]
        lines.append(f'<text x="{x}" y="{HEIGHT - 6}" text-anchor="{anchor}">{share:.0%}</text>')
    lines.append(f'<text x="{LEFT}" y="13" class="title" fill="{COLOURS[limb]}">{title}, {limb}</text>')
    lines.append(f'<text x="{WIDTH - RIGHT}" y="13" text-anchor="end">{remark}</text>')
    return "".join(lines)
