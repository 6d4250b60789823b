"""The linker: cheapest pair first, one detection per chain and frame, chains that end after a gap."""

from __future__ import annotations

import math

import numpy as np

from childgait.gait.linking import Chain, assign, continue_chain, link


def distance(chain: Chain[float], frame: int, detection: float) -> float:
    """Return the distance to the last detection, up to 5."""
    offset = abs(detection - chain.detections[-1])
    return offset if offset < 5 else math.inf


def chain_of(*detections: float) -> Chain[float]:
    return Chain(list(range(len(detections))), list(detections))


def test_the_cheapest_pair_is_linked_first_and_ties_go_to_the_older_chain() -> None:
    chains = [chain_of(0.0), chain_of(3.0)]
    assert assign(chains, 1, [2.0, 9.0], distance) == {0: 1}  # 2 is nearer to 3 than to 0; 9 is out of reach of both
    assert assign(chains, 1, [1.5], distance) == {0: 0}
    assert assign(chains, 1, [2.5, 2.0], distance) == {0: 1, 1: 0}


def test_chains_cross_gaps_up_to_the_limit_and_begin_in_order_of_appearance() -> None:
    def begin() -> Chain[float]:
        return Chain()

    frames = [(0, [0.0]), (1, [10.0, 1.0]), (4, [2.0, 11.0]), (8, [3.0])]
    chains = link(frames, distance, begin, max_gap=3)
    assert [chain.frames for chain in chains] == [[0, 1, 4], [1, 4], [8]]
    assert [chain.detections for chain in chains] == [[0.0, 1.0, 2.0], [10.0, 11.0], [3.0]]
    assert len(link(frames, distance, begin)) == 2


def test_one_chain_is_continued_backwards_until_a_gap_in_seconds() -> None:
    seconds = np.array([0.0, 1.0, 1.1, 1.2, 1.3])
    chain = Chain([4], [0.0])
    continue_chain(chain, [(3, [9.0]), (2, [2.0]), (1, [4.0, 3.0]), (0, [3.0])], distance, seconds, 0.5)
    assert chain.frames == [4, 2, 1]  # frame 0 is a second away
    assert chain.detections == [0.0, 2.0, 3.0]
