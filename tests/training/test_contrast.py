"""Affinity contrast: formulas against numbers by hand, and what training by it does to the features."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from childgait.domain.evgs import MIRRORED
from childgait.errors import StepError
from childgait.models.registry import MODELS, settings_of
from childgait.params import Contrast
from childgait.training.contrast import ItemContrast, item_affinity
from support.small_study import PARAMS, settings

DEFAULT = Contrast.model_validate(PARAMS["finetune"]["contrast"])


def contrast(jaccard: NDArray[np.float32], width: int = 34, **changes: object) -> ItemContrast:
    torch.manual_seed(0)
    return ItemContrast(width, jaccard, DEFAULT.model_copy(update={"weight": 1.0, **changes}))


def children(*rows: dict[int, float]) -> NDArray[np.float32]:
    labels = np.full((len(rows), 34), np.nan, np.float32)
    for row, scores in enumerate(rows):
        labels[row, list(scores)] = list(scores.values())
    return labels


def test_affinity_is_the_jaccard_index_of_children_whose_scores_of_both_are_known() -> None:
    labels = children({0: 1, 1: 1}, {0: 1, 1: 1}, {0: 1, 1: 0}, {0: 0, 1: 1}, {0: 0, 1: 0}, {0: 1}, {1: 1, 2: 1})
    affinity = item_affinity(labels)
    assert affinity[0, 1] == affinity[1, 0] == pytest.approx(2 / 4)
    assert affinity[0, 2] == 0  # never known together
    assert affinity[1, 2] == 1
    assert (np.diag(affinity) == 1).all()


def test_a_mirrored_child_counts_for_the_other_limb() -> None:
    one, two = 0, 3
    affinity = item_affinity(children({one: 1, two: 1}), flip=0.5)
    assert affinity[one, two] == affinity[MIRRORED[one], MIRRORED[two]] == 1
    assert item_affinity(children({one: 1, two: 1}))[MIRRORED[one], MIRRORED[two]] == 0


def test_memberships_are_those_computed_by_hand() -> None:
    affinity = np.eye(34, dtype=np.float32)
    affinity[0, 2] = affinity[2, 0] = 0.8
    affinity[1, 2] = affinity[2, 1] = 0.4
    loss = contrast(affinity, affinity=0.5)
    labels = torch.from_numpy(children({0: 1, 1: 2, 2: 0, 3: 0}, {0: 0, 2: 0}, {}))
    weights = loss.memberships(labels)
    neighbour = 0.5 * (0.8 + 0.4) / 2
    assert weights[0, :4].tolist() == pytest.approx([1 / 2.3, 1 / 2.3, neighbour / 2.3, 0])
    assert weights[0, 34] == 0
    assert weights[1].nonzero().flatten().tolist() == [34]  # nothing is atypical
    assert not weights[2].any()


def test_the_loss_is_the_cross_entropy_computed_by_hand() -> None:
    loss = contrast(np.eye(34, dtype=np.float32), width=2, temperature=0.5)
    loss.projection = torch.nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        loss.projection.weight.copy_(torch.eye(2))
        loss.prototypes = torch.nn.Parameter(torch.zeros(35, 2))
        loss.prototypes[0], loss.prototypes[1], loss.prototypes[34] = (
            torch.tensor([3.0, 0.0]),
            torch.tensor([0.0, 2.0]),
            torch.tensor([-1.0, 0.0]),
        )
    labels = torch.from_numpy(children({0: 1, 1: 0}, {}))
    values = loss(torch.tensor([[5.0, 0.0], [1.0, 1.0]]), labels)
    expected = -2 + math.log(math.exp(2) + math.exp(0) + math.exp(-2))  # cosines 1, 0, -1 over 0.5
    assert values.tolist() == pytest.approx([expected, 0.0], abs=1e-6)


def groups(count: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    """Return inputs and labels: each clip has one of the items 0, 1 and 2, or none."""
    random = np.random.default_rng(0)
    labels = np.zeros((count, 34), np.float32)
    kinds = random.integers(0, 4, count)
    labels[kinds == 0, 0], labels[kinds == 1, 1], labels[kinds == 2, 2] = 1, 1, 1
    inputs = np.eye(4)[kinds] + random.normal(0, 0.3, (count, 4))
    return torch.from_numpy(inputs).float(), torch.from_numpy(labels)


def trained(affinity: float) -> torch.Tensor:
    """Return the mean cosine of clips of every two of items 0, 1 and 2 after training; 0 and 1 occur together."""
    inputs, labels = groups()
    jaccard = np.eye(34, dtype=np.float32)
    jaccard[0, 1] = jaccard[1, 0] = 0.8
    loss = contrast(jaccard, width=8, affinity=affinity)
    torch.manual_seed(1)
    trunk = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.Tanh(), torch.nn.Linear(16, 8))
    optimizer = torch.optim.Adam([*trunk.parameters(), *loss.parameters()], lr=0.01)
    for _ in range(80):
        optimizer.zero_grad()
        loss(trunk(inputs), labels).mean().backward()
        optimizer.step()
    with torch.no_grad():
        clips = torch.nn.functional.normalize(trunk(inputs), dim=1)
    of_item = [clips[labels[:, item] == 1] for item in range(3)]
    return torch.stack([torch.stack([(one @ two.T).mean() for two in of_item]) for one in of_item])


def test_training_by_it_gathers_clips_of_an_item_and_parts_others() -> None:
    cosines = trained(0.0)
    assert cosines.diagonal().min() - cosines[~torch.eye(3, dtype=torch.bool)].max() > 0.3


def test_items_that_occur_together_repel_each_other_less_with_affinity() -> None:
    without, own = trained(0.0), trained(1.0)
    assert own[0, 1] > without[0, 1] + 0.3
    assert own[0, 1] > own[0, 2] + 0.3


def test_options_that_make_no_sense_together_are_refused_in_one_sentence() -> None:
    on = {**PARAMS["finetune"]["contrast"], "weight": 0.1}
    with pytest.raises(StepError, match=r"contrast\.weight is not 0, but tune is head"):
        settings_of(MODELS["tcn"], settings(overrides={"tcn": {"contrast": on, "tune": "head"}}))
    with pytest.raises(StepError, match=r"contrast\.weight is set, but compile is true"):
        settings_of(MODELS["tcn"], settings(overrides={"tcn": {"contrast": on, "compile": True}}))
    with pytest.raises(StepError, match=r"overrides\.gei\.contrast has no effect"):
        settings_of(MODELS["gei"], settings(overrides={"gei": {"contrast": on}}))
