"""Pre-training learns dense targets, follows one schedule, and ends with the same bytes after a kill."""

import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from childgait.errors import StepError
from childgait.models.dense_heads import DensePrediction
from childgait.training import precision
from childgait.training.pretraining import Plan, WalkVisits, dense_losses, learning_rate_at
from childgait.training.pretraining_validation import bands_accuracy, r_squared
from support import fake_walks

TESTS = Path(__file__).parent.parent


def same(one: torch.nn.Module, two: torch.nn.Module) -> bool:
    first, second = one.state_dict(), two.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_it_learns_what_the_keypoints_show(tmp_path: Path) -> None:
    run_settings = fake_walks.settings(windows=1600, validation_every=160, learning_rate=0.01)
    _, history = fake_walks.run(tmp_path, run_settings)
    assert [row["windows"] for row in history][-2:] == [1440, 1600]
    assert history[-1]["loss"] < 0.3 * history[0]["loss"]
    assert history[-1]["validation_r2_knee"] > 0.8
    assert history[-1]["validation_r2_measures"] > 0.8
    assert history[-1]["validation_bands"] > 0.7


@pytest.mark.parametrize("name", ["gru", "stgcn"])
def test_stopped_and_taken_up_it_ends_with_the_same_bytes(tmp_path: Path, name: str) -> None:
    whole, history = fake_walks.run(tmp_path / "whole", fake_walks.settings(), name)
    with pytest.raises(KeyboardInterrupt):
        fake_walks.run(tmp_path / "cut", fake_walks.settings(), name, stop_after=32)
    resumed, again = fake_walks.run(tmp_path / "cut", fake_walks.settings(), name)
    assert same(whole, resumed)
    assert history == again


def test_the_item_head_is_not_touched(tmp_path: Path) -> None:
    torch.manual_seed(fake_walks.settings().seed)
    model, _ = fake_walks.run(tmp_path, fake_walks.settings())
    untrained, _ = fake_walks.run(tmp_path / "none", fake_walks.settings(learning_rate=1e-9, weight_decay=0.0))
    assert torch.equal(model.network.head.weight, untrained.network.head.weight)
    assert not torch.equal(model.heads.steps.weight, untrained.heads.steps.weight)


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    """Real processes and a real SIGKILL, whenever a checkpoint lies there."""
    command = [sys.executable, str(TESTS / "support" / "fake_walks.py"), "--windows", "800"]
    environment = {**os.environ, "PYTHONPATH": f"{TESTS.parent / 'src'}:{TESTS}", "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, str(tmp_path / "whole")], check=True, env=environment)
    started = subprocess.Popen([*command, str(tmp_path / "cut")], env=environment)
    while not (tmp_path / "cut" / "state.safetensors").exists() and started.poll() is None:
        time.sleep(0.01)
    started.send_signal(signal.SIGKILL)
    started.wait()
    subprocess.run([*command, str(tmp_path / "cut")], check=True, env=environment)
    whole, cut = (tmp_path / name / "weights.safetensors" for name in ("whole", "cut"))
    assert whole.read_bytes() == cut.read_bytes()


def test_every_window_of_an_epoch_comes_once_and_a_later_start_continues_the_order() -> None:
    whole = [visit for batch in WalkVisits(5, 2, 0, 10, seed=1) for visit in batch]
    assert sorted(whole[:5]) == [(0, index) for index in range(5)]
    assert sorted(whole[5:10]) == [(1, index) for index in range(5)]
    later = [visit for batch in WalkVisits(5, 2, 4, 10, seed=1) for visit in batch]
    assert later == whole[8:]


def test_the_rate_warms_up_and_falls_once() -> None:
    rates = [learning_rate_at(step, 100, 10, 1.0) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == pytest.approx(1.0)
    assert all(after <= before for before, after in pairwise(rates[10:]))
    assert rates[-1] < 0.001
    assert Plan.of(fake_walks.settings()) == Plan(steps=12, warmup=2, round_steps=4)


def test_a_step_without_tokens_and_a_hidden_measure_cost_nothing() -> None:
    zeros = {"curves": torch.zeros(1, 2, 28), "phases": torch.zeros(1, 2, 4), "points": torch.zeros(1, 2, 23, 2)}
    predicted = DensePrediction(
        torch.tensor([1.0, 9.0]).view(1, 2, 1).expand(1, 2, 28),
        zeros["phases"],
        zeros["points"],
        torch.tensor([2.0] + [7.0] * 33)[None],
        torch.tensor([[True, False]]),
    )
    visible = torch.arange(34)[None] == 0
    losses = dense_losses(predicted, zeros | {"measures": torch.zeros(1, 34)}, visible)
    assert {name: float(value) for name, value in losses.items()} == {
        "curves": 1.0,
        "phases": 0.0,
        "points": 0.0,
        "measures": 4.0,
    }


def test_r_squared_is_one_for_the_truth_and_zero_for_the_mean() -> None:
    truth = np.random.default_rng(0).normal(size=(50, 3))
    assert r_squared(truth, truth).tolist() == [1, 1, 1]
    assert r_squared(truth, np.broadcast_to(truth.mean(axis=0), truth.shape)) == pytest.approx([0, 0, 0])


def test_bands_of_the_true_measures_are_exact() -> None:
    truth = np.random.default_rng(0).normal(size=(80, 34))
    visible, children = np.ones((80, 34), bool), np.repeat(np.arange(40), 2)
    assert bands_accuracy(truth, truth, visible, children, fake_walks.scale()) == 1.0
    assert bands_accuracy(truth, -truth, visible, children, fake_walks.scale()) < 0.8


def test_bf16_is_refused_where_the_processor_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "cpu_has_bf16", lambda: False)
    precision.check_precision("fp32", "cpu", "pretrain.precision")
    precision.check_precision("bf16", "cuda", "pretrain.precision")
    with pytest.raises(StepError, match=r"pretrain\.precision is bf16, but this CPU has no bf16 instructions"):
        precision.check_precision("bf16", "cpu", "pretrain.precision")


def test_a_loss_that_is_no_number_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake_walks, "scale", lambda: _broken(fake_walks_scale()))
    with pytest.raises(StepError, match="the loss became nan in step 1 of pre-training"):
        fake_walks.run(tmp_path, fake_walks.settings())


fake_walks_scale = fake_walks.scale


def _broken(scale: fake_walks.DenseScale) -> fake_walks.DenseScale:
    from dataclasses import replace

    return replace(scale, curve_mean=np.full(28, np.nan, np.float32))
