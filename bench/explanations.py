"""Measures which pixels and joints networks use to classify a bent or straight knee, and what a mean teacher adds.

Children are rendered straight from their true motion (tests/support/walking_study.py): no video, no detector. Each
network is trained on one item of the left limb, the knee in stance. On unseen children, the share of its evidence at
that knee is compared with the share of even evidence and of random weights, with their rank correlation. Then AGRM is
trained on a tenth of the labels, with its teacher and without, over several seeds.

    .venv/bin/python bench/explanations.py            # minutes; writes reports/bench/explanations.md
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
NETWORKS = ("childgait_video", "r3d18", "stgcn", "gru")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=int, default=60, help="training children")
    parser.add_argument("--test", type=int, default=40, help="test children")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=5, help="seeds of the comparison with few labels; 0: none")
    parser.add_argument("--out", type=Path, default=ROOT / "reports" / "bench" / "explanations.md")
    given = parser.parse_args()
    from support.walking_study import make_walking_study

    study = make_walking_study(Path(tempfile.mkdtemp()), given.train, given.test, neutral=False, rate=8.0)
    lines = [
        f"# Explanations ({given.train} training children, {given.test} test children; {given.epochs} epochs, "
        "tiny networks)",
        "",
        "| network | balanced accuracy | evidence at the left knee | even | random weights | agreement with random |",
        "|---|---|---|---|---|---|",
        *(row_of(name, study, given.epochs) for name in given.networks),
        "",
        "Mean over the test children's middle windows. Agreement is a rank correlation.",
        "",
    ]
    if given.seeds:
        lines += [
            "## AGRM with a tenth of the scores",
            "",
            "| seed | with its teacher | without |",
            "|---|---|---|",
            *few_scores(study, given.epochs, given.seeds),
            "",
        ]
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text("\n".join(lines))
    print("\n".join(lines))


def settings_for(name: str, epochs: int, **changes: Any) -> Any:
    from childgait.models.registry import MODELS, settings_of
    from support.small_study import PARAMS, settings

    section = PARAMS["finetune"]
    still = {"flip": 0.0, "scale": 0.1, "shift": 0.05, "colour": 0.1, "time": 0.0}
    encoder = {**section["encoder"], "drop_path": 0.0, "head_dropout": 0.1, "min_tokens": 2}
    rates = {"childgait_video": 0.0005, "stgcn": 0.003, "gru": 0.003}
    run_settings = settings(
        epochs=epochs,
        learning_rate=rates.get(name, 0.002),
        warmup_epochs=2,
        batch_size=8,
        micro_batch_size=8,
        ema_decay=0.9,
        augmentation=still,
        cnn={"width": 4, "dropout": 0.2},
        encoder=encoder,
        checkpoint_epochs=epochs,
        drawing={**section["drawing"], "line_pixels": 1, "dot_pixels": 1},
        overrides={name: {"frames": 4, **changes}},
    )
    return settings_of(MODELS[name], run_settings)


def learn(name: str, study: Any, run_settings: Any, seed: int) -> tuple[Any, Any, float]:
    """Train on the item; return the fit, its test predictions and its balanced accuracy."""
    from childgait.files.parts import open_part
    from childgait.models.registry import MODELS
    from childgait.training.fit import fit_network
    from childgait.training.predict import predict

    parts = {part: open_part(getattr(study, part), study.clips) for part in ("train", "validation", "test")}
    trained = fit_network(
        MODELS[name],
        run_settings,
        parts["train"],
        parts["validation"],
        seed=seed,
        fingerprint="bench",
        save_as=Path(tempfile.mkdtemp()) / "state.safetensors",
        on_epoch=lambda row, speed: None,
    )
    predictions = predict(
        MODELS[name], run_settings, trained.weights, trained.facts, parts["test"], windows_per_video=1
    )
    known = ~np.isnan(parts["test"].atypical).all(axis=0)
    truth = parts["test"].atypical[predictions.rows][:, known][:, 0] == 1
    predicted = predictions.logits[:, known][:, 0] > 0
    return trained, predictions, float((predicted[truth].mean() + (~predicted[~truth]).mean()) / 2)


def row_of(name: str, study: Any, epochs: int) -> str:
    from childgait.files.parts import open_part
    from childgait.models.registry import MODELS
    from childgait.training.gradcam import explain

    run_settings = settings_for(name, epochs)
    trained, predictions, accuracy = learn(name, study, run_settings, seed=0)
    part = open_part(study.test, study.clips)
    focus, _, _ = explain(
        MODELS[name], run_settings, trained.weights, trained.facts, part, predictions, len(part.clips), seed=1
    )
    means = [focus[column].drop_nulls().to_list() for column in ("share", "even", "random_share", "agreement")]
    counts = [f"{np.mean(values):.2f}" if values else "none" for values in means]
    return f"| {name} | {accuracy:.2f} | {' | '.join(counts)} |"


def few_scores(study: Any, epochs: int, seeds: int) -> list[str]:
    from support.small_study import PARAMS

    how = {
        **PARAMS["finetune"]["mean_teacher"],
        "labelled": 0.1,
        "decay": 0.95,
        "ramp_epochs": epochs // 2,
        "batch_size": 16,
    }
    rows, result = [], []
    for seed in range(seeds):
        pair = [
            learn("agrm", study, settings_for("agrm", 4 * epochs, mean_teacher={**how, "pool": pool}), seed)[2]
            for pool in ("training", "none")
        ]
        result.append(pair)
        rows.append(f"| {seed} | {pair[0]:.2f} | {pair[1]:.2f} |")
    mean, spread = np.mean(result, axis=0), np.std(result, axis=0, ddof=1) if seeds > 1 else np.zeros(2)
    cells = (f"{m:.2f} ± {s:.2f}" for m, s in zip(mean, spread, strict=True))
    return [*rows, f"| mean ± sd | {' | '.join(cells)} |"]


if __name__ == "__main__":
    main()
