"""A synthetic child in a mirror."""

from __future__ import annotations

from dataclasses import replace

from childgait.synthetic.child import Child


def mirrored(child: Child) -> Child:
    """Exchange the limbs."""
    return replace(
        child,
        left=child.right,
        right=child.left,
        phase_lag=1 - child.phase_lag,
        obliquity=-child.obliquity,
        rotation=-child.rotation,
        bent_arm={"left": "right", "right": "left"}.get(child.bent_arm, ""),
    )
