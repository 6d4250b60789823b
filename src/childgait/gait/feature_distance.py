"""Distance of a child's gait features from those of the training children.

Features are centred and scaled by median and median absolute deviation over the reference children; the distance is the
root mean square of these z-scores over the features that the child's recordings show.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LARGEST_Z = 10.0  # z-scores are clipped, so that one wrong feature does not decide alone
KNOWN_SHARE = 0.5  # features known in fewer of the reference children are left out
MAD_TO_SD = 1.4826  # of a normal distribution


@dataclass(frozen=True)
class Reference:
    """Centre and scale of each feature; NaN where a feature is left out. `limit`: largest distance of a child in it."""

    centre: Floats
    scale: Floats
    limit: float

    def distance(self, features: Floats) -> Floats:
        """Return the distance of (N, F) features; NaN for a child without a known feature."""
        z = np.clip(np.abs(features - self.centre) / self.scale, 0, LARGEST_Z)
        return _root_mean_square(z)


def fit_reference(features: Floats) -> Reference:
    """Fit centre and scale to (N, F) features of the training children, NaN where unknown."""
    known = np.isfinite(features).mean(axis=0) >= KNOWN_SHARE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the median of NaN is NaN, as intended
        centre = np.nanmedian(features, axis=0)
        scale = MAD_TO_SD * np.nanmedian(np.abs(features - centre), axis=0)
    usable = known & (scale > 0)
    centre, scale = np.where(usable, centre, np.nan), np.where(usable, scale, np.nan)
    distances = Reference(centre, scale, 0.0).distance(features)
    return Reference(centre, scale, float(np.nanmax(distances)) if np.isfinite(distances).any() else 0.0)


def _root_mean_square(z: Floats) -> Floats:
    known = np.isfinite(z)
    count = known.sum(axis=1)
    total = np.where(known, z, 0.0) ** 2
    return np.asarray(np.where(count > 0, np.sqrt(total.sum(axis=1) / np.maximum(count, 1)), np.nan))
