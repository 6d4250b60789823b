"""Settings of a small stream of synthetic walks, for tests; error rates are zero unless named."""

from childgait.params import RefinePose
from childgait.synthetic.outlines import StreamSettings

REFINEMENT = RefinePose(
    min_score=0.3,
    box_margin=0.2,
    swap_penalty=0.15,
    outlier_sigmas=5.0,
    longest_gap_seconds=0.15,
    joint_noise=1.25,
    distal_hz=8.0,
    proximal_hz=6.0,
)
COHORT_ERRORS = {"jitter": 0.006, "dropout": 0.02, "swap": 0.15, "outlier": 0.002, "mask_error": 0.3}


def stream_settings(**changes: float) -> StreamSettings:
    values = {
        "pixels": 64,
        "frame_step": 2,
        "seconds": 1.6,
        "bystander": 0.0,
        "jitter": 0.0,
        "dropout": 0.0,
        "swap": 0.0,
        "outlier": 0.0,
        "mask_error": 0.0,
        "margin": 0.2,
        "smoothing_seconds": 0.25,
        "refinement": REFINEMENT,
    }
    return StreamSettings(**(values | changes))
