"""Figures published about the ChildGait cohort, to lay beside our own.

Prevalence: computed from the public training labels of 94 children of the keypoint challenge of that cohort (own count
over the limbs; aggregate rates only, no child's labels are kept here). Accuracies: the cohort's project page.
"""

from __future__ import annotations

from dataclasses import dataclass

from childgait.domain.evgs import PUBLISHED_ORDER


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
CHILD_TOTAL_SD = 5.8  # atypical items per child, of 34
# Correlation (phi) of two items of one limb, limbs pooled: the strongest pairs.
ITEM_CORRELATIONS: dict[tuple[str, str], float] = {
    ("KEX", "HEX"): 0.50,
    ("IC", "HL"): 0.48,
    ("KEX", "KPS"): 0.38,
    ("FCL", "WAD"): 0.38,
    ("IC", "SAD"): 0.38,
    ("IC", "KPS"): 0.38,
    ("KPS", "HEX"): 0.37,
    ("KFX", "HFX"): 0.37,
    ("IC", "WAD"): 0.36,
    ("TSG", "TLT"): 0.36,
    ("SAD", "WAD"): 0.36,
    ("KFX", "PRT"): -0.20,
}


@dataclass(frozen=True)
class Published:
    """A row of the project's public result page (percent). Other children, other videos: to look at, not to beat."""

    name: str
    left: float
    right: float
    f1: tuple[float, float] | None  # left, right; where given


# 25 to 28 test clips per item, about as many atypical as typical; some averages are cut rather than rounded.
AVERAGES: tuple[Published, ...] = (
    Published("Gemini 3 Pro", 53, 55, None), Published("GPT-5.2", 53, 56, None),
    Published("Qwen3-VL-235B", 54, 59, None), Published("GLM4.6V", 52, 55, None),
    Published("Qwen3.5-9B", 50, 53, None), Published("InternVL3-8B", 53, 54, None),
    Published("Qwen3-VL-4B", 51, 52, None), Published("Qwen3-VL-ChildGait", 53, 53, None),
    Published("GaitSet", 51, 50, None), Published("GaitPart", 48, 49, None), Published("GaitGL", 49, 48, None),
    Published("GaitBase (Gait3D)", 50, 45, None), Published("GaitBase (GREW)", 53, 56, None),
    Published("GaitBase (OUMVLP)", 48, 53, None), Published("SwinGait (CCPG)", 50, 48, None),
    Published("SwinGait (Gait3D)", 54, 56, None), Published("SwinGait (SUSTech1K)", 52, 54, None),
    Published("DeepGaitV2 (CCPG)", 50, 49, None), Published("DeepGaitV2 (Gait3D)", 50, 50, None),
    Published("DeepGaitV2 (GREW)", 50, 51, None), Published("DeepGaitV2 (OUMVLP)", 49, 50, None),
    Published("DeepGaitV2 (SUSTech1K)", 51, 53, None),
    Published("BiggerGait", 54, 53, (0.53, 0.51)), Published("VideoMAE v2", 69, 72, (0.70, 0.71)),
    Published("ChildGait-Video", 84, 84, (0.83, 0.83)),
)  # fmt: skip

# Initial contact by frames per window (the page's ablation): accuracy, F1.
FRAMES: dict[int, tuple[float, float]] = {8: (0.741, 0.73), 16: (0.870, 0.89), 32: (0.907, 0.92)}

FOOTING = (
    "Published rows are copied from the project's result page: accuracy over single test clips, 25 to 28 per item and "
    "limb, about as many atypical as typical, so that chance is .50 and one cell has a 95 % interval of ± 13 to 17 "
    "points. Whether test children are absent from training is not stated there, the rows come from two test sets, and "
    "the stated mean of Qwen3-VL-ChildGait (right, 53) differs from that of its items (56). The row to compare is this "
    "study's balanced accuracy: the child is the unit, and no test child is trained on."
)

# Accuracy in percent per limb, in the page's own column order (evgs.PUBLISHED_ORDER).
ITEM_ACCURACY: dict[tuple[str, str], tuple[int, ...]] = {
    ("VideoMAE v2", "left"): (72, 70, 70, 63, 67, 68, 81, 80, 60, 60, 63, 67, 74, 68, 80, 67, 68),
    ("VideoMAE v2", "right"): (67, 71, 61, 81, 60, 68, 85, 72, 78, 81, 63, 67, 74, 72, 70, 85, 68),
    ("ChildGait-Video", "left"): (85, 92, 81, 70, 88, 92, 89, 84, 74, 82, 78, 85, 93, 89, 89, 85, 76),
    ("ChildGait-Video", "right"): (89, 85, 74, 85, 83, 88, 93, 80, 92, 86, 81, 81, 89, 80, 74, 92, 76),
}


def item_accuracy(name: str, limb: str) -> dict[str, int]:
    """Return the accuracy by item code, so that nobody counts columns."""
    return dict(zip(PUBLISHED_ORDER, ITEM_ACCURACY[name, limb], strict=True))
