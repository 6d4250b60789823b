"""The child's region loses texture and colour; everything around it stays."""

import numpy as np

from childgait.vision.flatten import flatten_region

FRAMES = np.random.default_rng(0).integers(0, 255, (3, 16, 16, 3)).astype(np.uint8)
MASKS = np.zeros((3, 16, 16), bool)
MASKS[:, 4:12, 5:9] = True


def test_at_strength_1_the_region_has_one_grey_level() -> None:
    flat = flatten_region(FRAMES, MASKS, 1.0)
    assert len(np.unique(flat[MASKS])) == 1
    assert abs(float(flat[MASKS].mean()) - float(FRAMES[MASKS].mean())) <= 0.5
    assert np.array_equal(flat[~MASKS], FRAMES[~MASKS])


def test_texture_falls_with_the_strength() -> None:
    spread = [flatten_region(FRAMES, MASKS, strength)[MASKS].std() for strength in (0.0, 0.5, 1.0)]
    assert spread[0] == FRAMES[MASKS].std()
    assert spread[0] > spread[1] > spread[2] == 0
    assert np.array_equal(flatten_region(FRAMES, np.zeros_like(MASKS), 1.0), FRAMES)
