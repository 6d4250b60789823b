"""The type of a box in pixels."""

from __future__ import annotations

Box = tuple[float, float, float, float]  # x0, y0, x1, y1; x1 and y1 exclusive
