"""Losses equal their formulas, train every network, and an ordinal model's totals use its own probabilities."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn

from childgait.domain.evgs import TARGET_NAMES
from childgait.errors import StepError
from childgait.files.parts import Part, open_part
from childgait.files.predictions import PREDICTIONS
from childgait.files.tables import write_table
from childgait.metrics.aggregate import predictions_table
from childgait.metrics.calibration import fit_calibration
from childgait.metrics.of_study import read_predictions
from childgait.models.cosine_linear import CosineLinear
from childgait.models.item_heads import MeasuresHead
from childgait.models.registry import MODELS, settings_of
from childgait.report.agreement_tables import expected_scores
from childgait.training.fit import fit_network, set_class_prior
from childgait.training.losses import TrainingLoss, atypical_logits, corn_loss, loss_of_clips, training_labels
from childgait.training.optim import positive_weights
from childgait.training.predict import predict
from support.small_study import SIZE, Study, make_study, settings

NETWORKS = [name for name, model in MODELS.items() if model.kind == "network"]
LOSSES = ("bce", "focal", "class_balanced", "corn")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return make_study(tmp_path_factory.mktemp("study"))


def random_batch() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    labels = torch.randint(0, 2, (5, 34)).float()
    labels[0, :30], labels[1] = torch.nan, torch.nan
    return 3 * torch.randn(5, 34), labels, torch.rand(34) + 0.5


def test_focal_loss_is_cross_entropy_times_the_errors_probability_to_gamma() -> None:
    logits, labels, weights = random_batch()
    p = logits.sigmoid()
    wrong = torch.where(labels == 1, 1 - p, p)
    each = -(1 - wrong).log() * torch.where(labels == 1, weights, torch.ones(34)) * wrong**2
    each = torch.where(labels.isnan(), torch.nan, each)
    focal = loss_of_clips(logits, labels, weights, gamma=2.0)
    torch.testing.assert_close(focal, each.nansum(dim=1) / (~labels.isnan()).sum(dim=1).clamp(min=1))
    assert torch.equal(loss_of_clips(logits, labels, weights), loss_of_clips(logits, labels, weights, gamma=0.0))
    assert focal[1] == 0


def test_effective_numbers_lie_between_equal_weights_and_the_ratio_of_counts() -> None:
    labels = np.array([[1.0]] * 10 + [[0.0]] * 40, dtype=np.float32)
    assert positive_weights(labels, cap=9, beta=0.0) == pytest.approx([1.0])
    assert positive_weights(labels, cap=9, beta=0.9) == pytest.approx([(1 - 0.9**40) / (1 - 0.9**10)])
    assert positive_weights(labels, cap=9, beta=0.99999) == pytest.approx(positive_weights(labels, cap=9), rel=1e-3)


def test_the_ordinal_loss_asks_for_score_2_of_atypical_items_only() -> None:
    torch.manual_seed(0)
    logits, weights = torch.randn(3, 68), torch.rand(34) + 0.5
    scores = torch.randint(0, 3, (3, 34)).float()
    scores[0, :20] = torch.nan
    expected = []
    for clip in range(3):
        terms, targets = [], 0
        for target in range(34):
            score, first, second = scores[clip, target], logits[clip, target], logits[clip, 34 + target]
            if score.isnan():
                continue
            own = nn.functional.softplus(-first) * weights[target] if score > 0 else nn.functional.softplus(first)
            terms.append(own)
            targets += 1
            if score > 0:
                terms.append(nn.functional.softplus(-second if score == 2 else second))
        expected.append(torch.stack(terms).sum() / targets)
    torch.testing.assert_close(corn_loss(logits, scores, weights), torch.stack(expected))


def test_the_ordinal_loss_is_least_at_the_share_of_atypical_clips() -> None:
    """One half of the clips is typical in all items, the other atypical in all: the best constant logit is 0."""
    scores = torch.tensor([0.0, 1.0])[:, None].expand(2, 34)
    logits = torch.zeros(2, 68, requires_grad=True)
    corn_loss(logits, scores, torch.ones(34)).sum().backward()
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad[:, :34].sum(dim=0), torch.zeros(34))


def test_only_the_ordinal_loss_reads_scores_and_refuses_a_binary_scale(study: Study) -> None:
    part = open_part(study.train, study.clips)
    assert np.nanmax(training_labels(part, settings(loss="focal"))) == 1
    assert np.nanmax(training_labels(part, settings(loss="corn"))) == 2
    binary = part.table.with_columns(pl.col(TARGET_NAMES).clip(upper_bound=1))
    with pytest.raises(StepError, match="loss is corn, but no training child has a score of 2"):
        training_labels(Part(binary, part.clips), settings(loss="corn"))


@pytest.mark.parametrize("name", NETWORKS)
def test_an_ordinal_network_starts_as_the_binary_one_with_usable_second_outputs(name: str) -> None:
    built = {}
    for loss in ("bce", "corn"):
        torch.manual_seed(0)
        network = MODELS[name].build(settings_of(MODELS[name], settings(loss=loss)), SIZE)
        built[loss] = network.classifier()[1], torch.random.get_rng_state()
    (binary, before), (ordinal, after) = built["bce"], built["corn"]
    assert torch.equal(before, after)
    assert isinstance(binary, nn.Linear)
    assert isinstance(ordinal, nn.Linear)
    assert type(binary) is type(ordinal)
    second = binary.weight if isinstance(binary, CosineLinear) else torch.zeros_like(binary.weight)
    assert torch.equal(ordinal.weight, torch.cat([binary.weight, second]))


def test_a_measures_head_is_ordinal_too() -> None:
    torch.manual_seed(0)
    head, features = MeasuresHead(8, 16, 0.01, shared=False), torch.randn(4, 8)
    before = head(features)
    head.make_ordinal()
    torch.testing.assert_close(head(features), torch.cat([before, torch.zeros(4, 34)], dim=1))
    head.set_prior_bias(torch.full((68,), 0.25))
    torch.testing.assert_close(head(features).sigmoid(), torch.full((4, 68), 0.25))


@pytest.mark.parametrize("loss", LOSSES)
def test_each_loss_learns_graded_scores(loss: str) -> None:
    """Scores rise with one number; a linear model must rank children by it, the ordinal one by the expected score."""
    torch.manual_seed(0)
    x = torch.randn(200, 3)
    scores = ((x[:, :1] > 0).float() + (x[:, :1] > 1).float()).expand(-1, 34)
    model = nn.Linear(3, 68 if loss == "corn" else 34)
    compute = TrainingLoss(settings(loss=loss), torch.ones(34))
    labels = scores if loss == "corn" else (scores > 0).float()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(150):
        optimizer.zero_grad()
        compute(model(x), labels).mean().backward()
        optimizer.step()
    logits = model(x).detach()
    assert ((atypical_logits(logits) > 0) == (scores > 0)).float().mean() > 0.97
    if loss == "corn":
        atypical, severe = logits.sigmoid().chunk(2, dim=1)
        assert (atypical * (1 + severe) - scores).abs().mean() < 0.15


def test_an_ordinal_run_predicts_scores_of_2_and_its_totals_use_them(study: Study, tmp_path: Path) -> None:
    model, parts = MODELS["tcn"], [open_part(path, study.clips) for path in (study.train, study.validation)]
    chosen = settings_of(
        model, settings(overrides={"tcn": {"frames": 4, "loss": "corn", "epochs": 8, "learning_rate": 0.01}})
    )
    result = fit_network(
        *(model, chosen, *parts), seed=0, save_as=tmp_path / "s", fingerprint="", on_epoch=lambda row, speed: None
    )
    logits = predict(model, chosen, result.weights, result.facts, parts[1], windows_per_video=2)
    assert logits.logits.shape == (2 * len(parts[1].clips), 34)
    assert logits.severe is not None
    assert logits.severe.mean() > 1  # every atypical score of this study is 2
    calibration = fit_calibration(np.full((1, 34), np.nan), np.full((1, 34), np.nan))
    folder = tmp_path / "evaluate/tcn/holdout-0"
    folder.mkdir(parents=True)
    for ordinal in (True, False):
        window_logits = logits if ordinal else replace(logits, severe=None)
        table = predictions_table("test", parts[1], window_logits, calibration)
        write_table(folder / "predictions.parquet", table, PREDICTIONS)
        assert ("severe" in pl.read_parquet(folder / "predictions.parquet").columns) == ordinal
        predictions = read_predictions([folder / "predictions.parquet"])["holdout"]["tcn"]
        labels = pl.DataFrame(schema={"subject": pl.String, "limb": pl.String, "code": pl.String, "score": pl.Int64})
        _, mean_score = expected_scores(predictions, labels)
        assert np.nanmin(mean_score) == pytest.approx(1.2) if not ordinal else np.nanmin(mean_score) > 1.5


def test_the_prior_of_score_2_is_its_share_among_atypical_scores(study: Study) -> None:
    part, chosen = open_part(study.train, study.clips), settings(loss="corn")
    network = MODELS["tcn"].build(chosen, SIZE)
    set_class_prior(network, part, chosen)
    last = network.classifier()[1]
    assert isinstance(last, nn.Linear)
    atypical, severe = last.bias.sigmoid().chunk(2)
    assert (severe > 0.7).all()  # all of them are 2, plus one of each by Laplace's rule
    assert (atypical - 0.5).abs().max() < 0.1


def test_wrong_values_of_the_loss_are_refused_in_one_sentence() -> None:
    with pytest.raises(StepError, match=r"finetune\.overrides\.tcn\.loss.*'bce', 'focal', 'class_balanced' or 'corn'"):
        settings_of(MODELS["tcn"], settings(overrides={"tcn": {"loss": "hinge"}}))
    with pytest.raises(StepError, match=r"finetune\.overrides\.rules\.loss has no effect"):
        settings_of(MODELS["rules"], settings(overrides={"rules": {"loss": "corn"}}))
    with pytest.raises(StepError, match="effective_beta"):
        settings_of(MODELS["tcn"], settings(overrides={"tcn": {"effective_beta": 1.0}}))
