"""Tests networks for shortcuts, the walk or the picture: synthetic walks, each in several appearances.

Every walk is painted several times with other clothes, skin, room, light and lens, from the same frames and with the
same exact keypoints; and every appearance is given to several walks. A network that reads the walk predicts the same
where only the appearance differs, and another probability where only the walk does. Only children without walking aids
take part, because their pictures have the same parts, so that one draw of colours paints each of them alike.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import VIEWS
from childgait.metrics.run_metrics import AppearanceTest
from childgait.metrics.scores import sigmoid
from childgait.synthetic.outlines import Outlines, StreamSettings, draw_stream_child
from childgait.training.walk_windows import WalkTargets, WalkWindows
from childgait.training.windows import Sample, Visit, collate

if TYPE_CHECKING:
    from childgait.models.network import Network
    from childgait.params import Finetune
    from childgait.training.windows import Loading

Floats = NDArray[np.float64]
SEED = 770_001  # of the walks; no stream or cohort of this repository has it
CHILDREN = 6
DRAWS = 2000


class RepaintedWalks(WalkWindows):
    """One window per child and view; the epoch is the number of an appearance, which all walks then share."""

    def __init__(self, children: list[int], settings: StreamSettings, loading: Loading) -> None:
        super().__init__(range(len(children)), SEED, settings, loading, windows=1)
        self._numbers = children

    def view(self, number: int, place: int) -> Outlines:
        return self._cache.view(self._numbers[number], place)

    def __getitem__(self, visit: Visit) -> tuple[Sample, WalkTargets]:
        appearance, index = visit
        number, place = divmod(index, len(VIEWS))
        return self.make_window(self.view(number, place), number, 0, np.random.default_rng([SEED, appearance]))


def measure_appearance(
    network: Network, settings: Finetune, loading: Loading, pixels: int, appearances: int
) -> AppearanceTest | None:
    """Return how far a network's probabilities move with the appearance and with the walk.

    None for a network that reads no picture, and without at least two appearances.
    """
    if appearances < 2 or not (loading.reads("frames") or loading.reads("masks")):
        return None
    walks = RepaintedWalks(children_without_aids(CHILDREN), exact_stream(settings, pixels), loading)
    logits = np.stack([_predict(network, walks, number, settings) for number in range(appearances)])
    visible = np.stack([walks.view(*divmod(index, len(VIEWS))).visible for index in range(len(walks))])
    return compare_movements(sigmoid(logits), visible)


def children_without_aids(count: int) -> list[int]:
    """Return the numbers of the seed's first children who walk without an aid."""
    numbers: list[int] = []
    index = 0
    while len(numbers) < count:
        if draw_stream_child(SEED, index).aid == "none":
            numbers.append(index)
        index += 1
    return numbers


def exact_stream(settings: Finetune, pixels: int) -> StreamSettings:
    """Return the settings of walks with exact keypoints and masks, and nobody else in view."""
    seconds = max(1.6, (settings.frames - 1) * settings.frame_step / 30 + 0.1)
    return StreamSettings(
        pixels=pixels,
        frame_step=settings.frame_step,
        seconds=seconds,
        bystander=0.0,
        jitter=0.0,
        dropout=0.0,
        swap=0.0,
        outlier=0.0,
        mask_error=0.0,
        margin=0.2,
        smoothing_seconds=0.5,
        refinement=None,
    )


def _predict(network: Network, walks: RepaintedWalks, appearance: int, settings: Finetune) -> Floats:
    """Return (walks, 34) logits for every walk in one appearance."""
    from childgait.domain.evgs import TARGETS
    from childgait.training.predict import predict_loader

    size = settings.micro_batch_size
    rows = range(len(walks))
    batches = (
        collate([walks[appearance, row][0] for row in rows[start : start + size]])
        for start in range(0, len(rows), size)
    )
    return predict_loader(network, batches, settings, settings.device).logits[:, : len(TARGETS)]


def compare_movements(probability: Floats, visible: NDArray[np.bool_]) -> AppearanceTest:
    """Compare changes of probability (appearances, walks, 34) over the targets `visible` (walks, 34) in each walk.

    Walks are in the order of children, then views. `ratio` is the mean change where only the appearance differs over
    that where only the walk differs, both within one view; its interval is of draws of children.
    """
    count, walks = probability.shape[:2]
    children = walks // len(VIEWS)
    by_view = probability.reshape(count, children, len(VIEWS), -1)
    shown = visible.reshape(children, len(VIEWS), -1)[0]
    pairs = list(combinations(range(count), 2))
    repainted = np.array(
        [
            np.mean([np.abs(by_view[a, child] - by_view[b, child])[shown].mean() for a, b in pairs])
            for child in range(children)
        ]
    )
    other = np.zeros((children, children))
    for first, second in combinations(range(children), 2):
        moved = np.mean([np.abs(one[first] - one[second])[shown].mean() for one in by_view])
        other[first, second] = other[second, first] = moved
    low, high = _interval(repainted, other)
    mean_other = float(other[np.triu_indices(children, 1)].mean())
    return AppearanceTest(
        children=children,
        appearances=count,
        repainted=round(float(repainted.mean()), 4),
        other_walk=round(mean_other, 4),
        ratio=round(float(repainted.mean()) / mean_other, 4) if mean_other > 0 else None,
        low=low,
        high=high,
    )


def _interval(repainted: Floats, other: Floats) -> tuple[float | None, float | None]:
    """Return the 95 % percentile interval of the ratio over draws of children; pairs of one child do not count."""
    rng, ratios = np.random.default_rng(SEED), []
    for _ in range(DRAWS):
        drawn = rng.integers(len(repainted), size=len(repainted))
        pairs = other[np.ix_(drawn, drawn)][drawn[:, None] != drawn[None, :]]
        if len(pairs) and pairs.mean() > 0:
            ratios.append(repainted[drawn].mean() / pairs.mean())
    if not ratios:
        return None, None
    low, high = np.percentile(ratios, [2.5, 97.5])
    return round(float(low), 4), round(float(high), 4)
