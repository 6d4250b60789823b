"""The loss masks what is not known; weights, rates and freezing do what params say."""

from pathlib import Path

import numpy as np
import pytest
import torch

from childgait.domain.evgs import MIRRORED
from childgait.errors import StepError
from childgait.training.losses import loss_of_clips
from childgait.training.optim import (
    class_prior,
    freeze_for_epoch,
    make_optimizer,
    make_schedule,
    positive_weights,
)
from support import toy_training
from support.small_study import settings
from support.toy_training import Toy


def test_an_unknown_label_teaches_nothing() -> None:
    logits = torch.randn(3, 34, requires_grad=True)
    labels = torch.zeros(3, 34)
    labels[0, :30], labels[1] = torch.nan, torch.nan
    losses = loss_of_clips(logits, labels, torch.ones(34))
    losses.sum().backward()
    assert losses[1] == 0
    assert (logits.grad[0, :30] == 0).all()
    assert (logits.grad[1] == 0).all()
    assert (logits.grad[0, 30:] != 0).all()
    expected = torch.nn.functional.softplus(logits.detach()[0, 30:]).mean()
    torch.testing.assert_close(losses[0].detach(), expected)  # a clip counts as one, however much its view shows


def test_positive_weights_come_from_counts_and_are_capped() -> None:
    atypical = np.array([[1, 0, 1, 0], [0, 0, 1, np.nan], [0, 0, 1, 1], [0, 1, 0, 1]], dtype=np.float32)
    assert positive_weights(atypical, cap=2.5) == pytest.approx([2.5, 2.5, 0.4, 0.5])
    assert positive_weights(np.array([[0], [0]], dtype=np.float32), cap=5)[0] == 1  # no positive: nothing to weigh


def test_flipped_training_weighs_both_limbs_alike() -> None:
    """A constant prediction that minimises the loss under flips of one half is .5 where the weight is not capped."""
    rng = np.random.default_rng(0)
    prevalence = np.concatenate([rng.uniform(0.25, 0.75, 17), rng.uniform(0.25, 0.75, 17)])
    labels = (rng.random((40, 34)) < prevalence).astype(np.float32)
    weights = positive_weights(labels, cap=5, flip=0.5)
    shown = np.concatenate([labels, labels[:, list(MIRRORED)]])  # what the targets see over many epochs
    pull = weights * shown.sum(axis=0)
    optimum = pull / (pull + (1 - shown).sum(axis=0))
    assert optimum == pytest.approx(0.5, abs=1e-6)
    assert class_prior(labels, weights, flip=0.5) == pytest.approx(0.5, abs=0.02)
    alone = positive_weights(labels, cap=5)
    assert np.abs(alone * shown.sum(axis=0) / (alone * shown.sum(axis=0) + (1 - shown).sum(axis=0)) - 0.5).max() > 0.05


def test_targets_without_sides_are_not_mixed() -> None:
    levels = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 0, 0]], dtype=np.float32)
    assert positive_weights(levels, cap=5, flip=0.5) == pytest.approx([1, 3, 1])


def test_the_start_has_no_opinion_once_classes_are_weighed() -> None:
    atypical = np.repeat(np.array([[1.0], [0.0], [0.0], [0.0]], dtype=np.float32), 5, axis=0)
    shares = class_prior(atypical, positive_weights(atypical, cap=5))
    assert shares[0] == pytest.approx(0.5, abs=0.05)


def test_rates_shrink_with_depth_and_norms_do_not_decay() -> None:
    optimizer = make_optimizer(Toy(0.0), settings(layer_decay=0.5, learning_rate=0.1))
    schedule = make_schedule(optimizer, settings(layer_decay=0.5, learning_rate=0.1, epochs=4, warmup_epochs=1), 10)
    schedule.step_update(10)
    rates = {
        (tuple(p.shape), group["weight_decay"] > 0): group["lr"]
        for group in optimizer.param_groups
        for p in group["params"]
    }
    assert rates[(8, 6), True] == pytest.approx(rates[(34, 8), True] / 2)
    assert ((8,), False) in rates
    assert ((8,), True) not in rates


def test_the_schedule_warms_up_and_ends_low() -> None:
    run_settings = settings(layer_decay=1.0, learning_rate=0.1, epochs=4, warmup_epochs=1, min_learning_rate=0.001)
    optimizer = make_optimizer(Toy(0.0), run_settings)
    schedule = make_schedule(optimizer, run_settings, 10)
    rates = []
    for update in range(40):
        schedule.step_update(update)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates[0] == 0
    assert max(rates) == pytest.approx(0.1, rel=0.05)
    assert np.argmax(rates) in (9, 10)
    assert rates[-1] < 0.002


def test_freezing_holds_layers_and_epochs() -> None:
    network = Toy(0.0)
    all_of_it = sum(p.numel() for p in network.parameters())
    head = sum(p.numel() for p in network.last.parameters())
    assert freeze_for_epoch(network, settings(freeze_epochs=1), 0) == head
    assert not network.first.weight.requires_grad
    assert freeze_for_epoch(network, settings(freeze_epochs=1), 1) == all_of_it
    assert network.first.weight.requires_grad
    assert freeze_for_epoch(network, settings(freeze_layers=1), 5) == head


def test_any_set_of_stages_is_frozen_and_the_others_learn(tmp_path: Path) -> None:
    chosen = settings(freeze_stages=[0], epochs=30, learning_rate=0.03, ema_decay=0.0)
    torch.manual_seed(1)
    start = Toy(0.2).state_dict()
    outcome = toy_training.run(tmp_path, chosen, seed=1)
    assert torch.equal(outcome.weights["first.weight"], start["first.weight"])
    assert not torch.equal(outcome.weights["last.weight"], start["last.weight"])
    assert outcome.history[-1]["loss"] < 0.5 * outcome.history[0]["loss"]


def test_stages_that_a_network_lacks_are_refused() -> None:
    with pytest.raises(StepError, match=r"freeze_stages names 7, but the network has layers 0 to 1"):
        freeze_for_epoch(Toy(0.0), settings(freeze_stages=[1, 7]), 0)
    with pytest.raises(StepError, match="leave nothing to train in epoch 2"):
        freeze_for_epoch(Toy(0.0), settings(freeze_layers=9), 1)
    network = Toy(0.0)
    network.layer_of = lambda parameter: None  # type: ignore[method-assign]
    with pytest.raises(StepError, match="the network has no numbered layers"):
        freeze_for_epoch(network, settings(freeze_stages=[0]), 0)
    with pytest.raises(ValueError, match="freeze_stages"):
        settings(freeze_stages=[-1])
