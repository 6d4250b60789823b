"""The second track's file has the gait types of the listed test children, and of nobody a network was trained on."""

from pathlib import Path

import polars as pl
import pytest
import torch
from safetensors.numpy import save_file

from childgait.errors import StepError
from childgait.files.parts import open_part
from childgait.files.submission import read_subtypes
from childgait.models.registry import MODELS, settings_of
from childgait.steps.write_subtypes import write_subtypes
from childgait.training.description import describe
from childgait.training.fit import FitResult
from support.small_study import Study, make_study, settings


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A GRU whose biases alone decide: left type2, right type4; a second seed is less sure of type1 and WNL."""
    folder = tmp_path_factory.mktemp("study")
    study = make_study(folder, children=16)
    selected = settings_of(MODELS["gru"], settings())
    parts = {part: open_part(getattr(study, part), study.clips) for part in ("train", "validation")}
    for seed, sure, classes in ((0, 4.0, (2, 4)), (1, 1.0, (1, 0))):
        torch.manual_seed(0)
        network = MODELS["gru"].build(selected, 32)
        network.reset_classifier(10)
        _, last = network.classifier()
        assert isinstance(last, torch.nn.Linear)
        torch.nn.init.zeros_(last.weight)
        bias = torch.zeros(2, 5)
        bias[[0, 1], list(classes)] = sure
        last.bias.data.copy_(bias.reshape(-1))
        weights = {name: value.numpy() for name, value in network.state_dict().items()}
        save_file(weights, folder / f"{seed}.safetensors")
        facts = FitResult(weights, [], 0, {"pixels": 32})
        describe(MODELS["gru"], "holdout", seed, selected, parts, facts).write(folder / f"{seed}.json")
    return study


def run(study: Study, out: Path, listed: list[str]) -> dict[str, list[str]]:
    folder = study.train.parent
    (out / "split.csv").write_text("subject,part,reason\n" + "".join(f"{one},test,challenge\n" for one in listed))
    write_subtypes(
        weights=[folder / f"{seed}.safetensors" for seed in (0, 1)],
        models=[folder / f"{seed}.json" for seed in (0, 1)],
        clips=study.clips,
        submission=out / "subtypes.csv",
        windows_per_video=2,
        lists=out / "split.csv",
    )
    return read_subtypes(out / "subtypes.csv", set(listed) or None)


def of_part(path: Path) -> list[str]:
    return sorted(pl.read_parquet(path)["subject"].unique())


def test_the_listed_children_get_the_mean_of_the_seeds(study: Study, tmp_path: Path) -> None:
    listed = of_part(study.test)[:2]
    assert run(study, tmp_path, listed) == {child: ["type2", "type4"] for child in listed}


def test_without_a_list_all_unseen_children_are_classified(study: Study, tmp_path: Path) -> None:
    assert sorted(run(study, tmp_path, [])) == of_part(study.test)


def test_a_listed_child_that_trained_on_items_stops_the_step(study: Study, tmp_path: Path) -> None:
    """The leak across the challenge's tracks: item labels of a child in training, its gait type in the test."""
    child = of_part(study.train)[0]
    with pytest.raises(StepError, match=rf"trained on child {child}, .*Hint: list the test's children of both tracks"):
        run(study, tmp_path, [child])
