"""The loop learns, resumes to the same bytes, and gives the same numbers however a step is cut."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from childgait.errors import StepError
from childgait.training.distributed import Group
from childgait.training.loop import mean_over_windows
from childgait.training.order import MicroBatchSampler
from support import toy_training
from support.small_study import settings

TESTS = Path(__file__).parent.parent
SEARCH_PATH = os.pathsep.join([str(TESTS), str(TESTS.parent / "src")])


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_it_learns_what_can_be_seen(tmp_path: Path) -> None:
    outcome = toy_training.run(tmp_path, settings(epochs=30, learning_rate=0.03, ema_decay=0.0))
    assert outcome.history[-1]["loss"] < 0.3 * outcome.history[0]["loss"]
    assert len(outcome.history) == outcome.kept_epoch == 30


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    runs = [toy_training.run(tmp_path / str(n), settings(), seed=seed) for n, seed in enumerate((1, 1, 2))]
    assert same(runs[0].weights, runs[1].weights)
    assert not same(runs[0].weights, runs[2].weights)


def test_stopped_and_taken_up_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    whole = toy_training.run(tmp_path / "whole", settings(epochs=6))
    with pytest.raises(KeyboardInterrupt):
        toy_training.run(tmp_path / "cut", settings(epochs=6), stop_after=4)
    taken_up = toy_training.run(tmp_path / "cut", settings(epochs=6))
    assert same(whole.weights, taken_up.weights)
    assert whole.history == taken_up.history


def test_a_checkpoint_of_another_run_is_left_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(KeyboardInterrupt):
        toy_training.run(tmp_path, settings(epochs=4), stop_after=2)
    caplog.set_level("INFO")
    other = toy_training.run(tmp_path, settings(epochs=4), fingerprint="other")
    assert "is of other data, params or code" in caplog.text
    assert same(other.weights, toy_training.run(tmp_path / "fresh", settings(epochs=4)).weights)
    (tmp_path / "state.safetensors").write_bytes(b"\x08")
    toy_training.run(tmp_path, settings(epochs=1))
    assert "cannot be read" in caplog.text


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    """Real processes, real SIGKILLs, a checkpoint every epoch."""
    command = [sys.executable, str(TESTS / "support" / "toy_training.py"), "--epochs", "20"]
    environment = {**os.environ, "PYTHONPATH": SEARCH_PATH}
    toy_training.run(tmp_path / "whole", settings(epochs=20))
    random, kills = np.random.default_rng(5), 0
    while True:
        process = subprocess.Popen([*command, str(tmp_path / "cut")], env=environment)
        saved = tmp_path / "cut" / "state.safetensors"
        before = saved.stat().st_mtime_ns if saved.exists() else None
        while process.poll() is None and kills < 2:
            if saved.exists() and saved.stat().st_mtime_ns != before:  # it is under way: strike somewhere in there
                time.sleep(float(random.random()) * 0.1)
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.002)
        if process.wait() == 0:
            break
        kills += 1
    assert kills == 2
    assert (tmp_path / "whole" / "weights.safetensors").read_bytes() == (
        tmp_path / "cut" / "weights.safetensors"
    ).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("normed", [False, True])
def test_two_processes_give_the_numbers_of_one(normed: bool, tmp_path: Path) -> None:
    """torchrun, gloo: two small batches a step, one a process; drop-out included, for its draws belong to the batch;
    and what batch norms remember."""
    environment = {**os.environ, "PYTHONPATH": SEARCH_PATH, "OMP_NUM_THREADS": "1"}
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--master-port",
        "0",
        "--rdzv-backend",
        "c10d",
        "--rdzv-endpoint",
        "localhost:0",
    ]
    program = [
        str(TESTS / "support" / "toy_training.py"),
        "--epochs",
        "3",
        str(tmp_path / "two"),
        *(["--normed"] if normed else []),
    ]
    subprocess.run([*torchrun, *program], check=True, env=environment)
    one = toy_training.run(tmp_path / "one", settings(epochs=3), normed=normed).weights
    two = toy_training.read_weights(tmp_path / "two")
    assert ("norm.running_mean" in two) == normed  # what it judges by: of all small batches, in their order
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-6, atol=1e-7)


def test_a_step_is_the_same_however_it_is_cut(tmp_path: Path) -> None:
    plain = settings(ema_decay=0.0, epochs=2)
    whole = toy_training.run(tmp_path / "a", plain.model_copy(update={"micro_batch_size": 4}), dropout=0.0)
    cut = toy_training.run(tmp_path / "b", plain.model_copy(update={"micro_batch_size": 1}), dropout=0.0)
    for name, value in whole.weights.items():
        torch.testing.assert_close(cut.weights[name], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("count", "at_once", "world"), [(10, 2, 1), (10, 2, 2), (7, 3, 2), (3, 1, 4)])
def test_processes_share_every_step_without_overlap(count: int, at_once: int, world: int) -> None:
    plans = [MicroBatchSampler(count, 4, at_once, 0, Group(rank, world, "cpu")).plan() for rank in range(world)]
    for parts in zip(*plans, strict=True):
        computed = sorted(clip for step in parts for _, batch in step.micro_batches for clip in batch)
        assert computed == sorted(parts[0].clips)
    assert sorted(clip for step in plans[0] for clip in step.clips) == list(range(count))


def test_a_loss_that_is_not_finite_stops_and_names_the_clips(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"the loss became nan in epoch 2, step 1, on clip-\d"):
        toy_training.run(tmp_path, settings(), broken_epoch=1)


def test_it_stops_when_validation_gets_no_better_and_keeps_the_best(tmp_path: Path) -> None:
    losses = iter([3.0, 1.0, 2.0, 2.0, 2.0, 2.0])
    kept: list[torch.Tensor] = []

    def judge(network: torch.nn.Module) -> dict[str, float]:
        kept.append(network.state_dict()["last.weight"].clone())
        return {"validation_loss": next(losses), "validation_balanced_accuracy": 0.5}

    outcome = toy_training.run(tmp_path, settings(epochs=6, patience=2, checkpoint="best"), judge=judge)
    assert len(outcome.history) == 4
    assert outcome.kept_epoch == 2
    assert torch.equal(outcome.weights["last.weight"], kept[1])
    assert not torch.equal(outcome.weights["last.weight"], kept[3])


@pytest.mark.parametrize("keep", ["best", "last"])
def test_a_run_that_stopped_early_is_over_when_it_is_taken_up(keep: str, tmp_path: Path) -> None:
    """As after a kill between the last checkpoint and the writing of the weights."""
    losses = iter([1.0, 0.5, 0.7, 0.6, 0.1, 0.05])

    def judge(network: torch.nn.Module) -> dict[str, float]:
        return {"validation_loss": next(losses), "validation_balanced_accuracy": 0.5}

    run_settings = settings(epochs=6, patience=2, checkpoint=keep)
    first = toy_training.run(tmp_path, run_settings, judge=judge)
    assert len(first.history) == 4
    again = toy_training.run(tmp_path, run_settings, judge=judge)
    assert again.history == first.history
    assert again.kept_epoch == first.kept_epoch
    assert same(again.weights, first.weights)


def test_without_a_known_answer_no_epoch_is_the_best(tmp_path: Path) -> None:
    def judge(network: torch.nn.Module) -> dict[str, float]:
        return {"validation_loss": float("nan"), "validation_balanced_accuracy": float("nan")}

    with pytest.raises(StepError, match="no validation child has a known score"):
        toy_training.run(tmp_path / "best", settings(checkpoint="best"), judge=judge)
    assert toy_training.run(tmp_path / "last", settings(checkpoint="last", patience=0), judge=judge).kept_epoch == 3


def test_sets_of_one_window_give_the_bytes_of_single_windows(tmp_path: Path) -> None:
    single = toy_training.run(tmp_path / "single", settings(training_windows=1))
    sets = toy_training.run(tmp_path / "sets", settings(training_windows=1), in_sets=True)
    assert same(single.weights, sets.weights)
    assert single.history == sets.history


def test_the_loss_is_of_the_mean_logits_of_a_clips_windows() -> None:
    logits, labels = torch.randn(6, 34), torch.arange(6.0)[:, None].expand(6, 34)
    mean, own = mean_over_windows(logits, labels, 3)
    assert torch.allclose(mean[1], logits[3:].mean(dim=0))
    assert own[:, 0].tolist() == [0, 3]


def test_several_windows_a_clip_give_the_same_numbers_however_a_step_is_cut(tmp_path: Path) -> None:
    """A clip's windows stay in one forward pass; without drop-out the number of clips beside them changes nothing."""
    options = {"training_windows": 3, "epochs": 2, "batch_size": 4}
    runs = [
        toy_training.run(tmp_path / str(micro), settings(micro_batch_size=micro, **options), in_sets=True, dropout=0.0)
        for micro in (3, 5, 12)
    ]
    assert same(runs[0].weights, runs[1].weights)
    for name, value in runs[0].weights.items():
        assert torch.allclose(value, runs[2].weights[name], atol=1e-5)
    single = toy_training.run(tmp_path / "one", settings(micro_batch_size=3, **options | {"training_windows": 1}))
    assert not same(single.weights, runs[0].weights)


def test_several_windows_stopped_and_taken_up_end_with_the_same_bytes(tmp_path: Path) -> None:
    run_settings = settings(epochs=4, training_windows=2)
    whole = toy_training.run(tmp_path / "whole", run_settings, in_sets=True)
    with pytest.raises(KeyboardInterrupt):
        toy_training.run(tmp_path / "cut", run_settings, stop_after=2, in_sets=True)
    assert same(whole.weights, toy_training.run(tmp_path / "cut", run_settings, in_sets=True).weights)
