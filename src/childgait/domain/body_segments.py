"""Masses, centres of mass and radii of gyration of a child's leg segments by age, as shares of the body and of length.

Masses: Jensen, "Changes in segment inertia proportions between 4 and 20 years" (J Biomech 22:529-536, 1989) at 6 years
and "Body segment mass, radius and radius of gyration proportions of children" (J Biomech 19:359-368, 1986, doi
10.1016/0021-9290(86)90012-6) at 12 and 15; linear in between, constant beyond. Both are of twelve boys.

The regressions of centres and radii in these papers were not at hand. Centres: a straight line in age between infants
(Schneider and Zernicke, J Biomech 25:145-148, 1992) at 0.5 years and adults (de Leva, J Biomech 29:1223-1230, 1996) at
20. Radii about the mediolateral axis: adults (de Leva). Head, arms and trunk are one mass, 0.626 of the way from hips
to shoulders (Winter, "Biomechanics and Motor Control of Human Movement", adults).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_AGES = (6.0, 12.0, 15.0)
_MASSES = {"thigh": (0.085, 0.110, 0.121), "shank": (0.046, 0.053, 0.056), "foot": (0.019, 0.021, 0.021)}
_CENTRE_AGES = (0.5, 20.0)
_CENTRES = {"thigh": (0.4859, 0.4095), "shank": (0.4377, 0.4459), "foot": (0.3469, 0.4415)}
_RADII = {"thigh": 0.329, "shank": 0.249, "foot": 0.245}
UPPER_BODY_CENTRE = 0.626  # from the hips to the shoulders


@dataclass(frozen=True)
class BodySegment:
    """A segment of one leg."""

    mass: float  # share of body mass
    centre: float  # share of the length from the proximal end; of the foot from the heel to the toe
    radius: float  # of gyration about the centre, share of the length


def leg_segments(age_years: float) -> dict[str, BodySegment]:
    """Return thigh, shank and foot of a child of this age."""
    return {
        name: BodySegment(
            float(np.interp(age_years, _AGES, masses)),
            float(np.interp(age_years, _CENTRE_AGES, _CENTRES[name])),
            _RADII[name],
        )
        for name, masses in _MASSES.items()
    }
