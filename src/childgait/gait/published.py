"""Figures published about the ChildGait cohort, to lay beside our own.

Prevalence: computed from the public training labels of 94 children of the keypoint challenge of that cohort (own count
over the limbs; aggregate rates only, no child's labels are kept here).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Prevalence:
    """How often an item is atypical: over both limbs, and how often the two limbs of a child agree."""

    atypical: float
    left: float
    right: float
    agreement: float


PREVALENCE: dict[str, Prevalence] = {
    "IC": Prevalence(0.45, 0.45, 0.46, 0.69), "HL": Prevalence(0.54, 0.54, 0.53, 0.76),
    "SAD": Prevalence(0.23, 0.20, 0.27, 0.72), "HVV": Prevalence(0.59, 0.60, 0.57, 0.87),
    "FRT": Prevalence(0.37, 0.36, 0.37, 0.67), "FCL": Prevalence(0.10, 0.07, 0.12, 0.94),
    "WAD": Prevalence(0.26, 0.24, 0.28, 0.76), "KPA": Prevalence(0.71, 0.73, 0.69, 0.79),
    "KEX": Prevalence(0.23, 0.27, 0.19, 0.84), "KPS": Prevalence(0.46, 0.40, 0.52, 0.80),
    "KFX": Prevalence(0.21, 0.23, 0.18, 0.86), "HEX": Prevalence(0.22, 0.26, 0.19, 0.89),
    "HFX": Prevalence(0.14, 0.11, 0.17, 0.91), "POB": Prevalence(0.28, 0.22, 0.34, 0.73),
    "PRT": Prevalence(0.63, 0.67, 0.59, 0.89), "TSG": Prevalence(0.34, 0.36, 0.32, 0.89),
    "TLT": Prevalence(0.16, 0.12, 0.20, 0.81),
}  # fmt: skip

MAJORITY_ACCURACY = 0.71  # predicting each item's majority, at that prevalence
LIMB_TOTAL_MEAN, LIMB_TOTAL_SD = 5.9, 3.3  # atypical items a limb, of 17
LIMB_TOTAL_CORRELATION = 0.57  # left with right
