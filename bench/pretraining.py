"""Pre-train the encoder with and without prompting and pruning on the same stream, schedule and budget.

    python bench/pretraining.py --windows 48000          # hours; a killed bench continues where it stopped
    python bench/pretraining.py --smoke                  # seconds: proves that it runs, measures nothing

Each setting is evaluated on painted held-out children of the stream, whose predicted measures are put to the guide's
bands; nothing is fitted. Fine-tuned rows on clips of the whole pipeline are not part of this bench yet.
Writes reports/bench/pretraining.json and .md (with --smoke into the cache folder).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from childgait.files.atomic import write_json, write_text
from childgait.metrics.scores import measure, sigmoid
from childgait.models.dense_heads import PretrainingModel
from childgait.models.registry import MODELS, settings_of
from childgait.params import load_params
from childgait.training.predict import loading_of
from childgait.training.pretraining_validation import predictions_by_child
from childgait.training.stream_pretraining import (
    PretrainingResult,
    held_out_batches,
    make_stream_settings,
    pretrain_on_stream,
)

SETTINGS = {"prompted_pruned": "childgait_video", "prompted": "prompted", "pruned": "pruned", "plain": "videomae"}
METRICS = ("balanced_accuracy", "f1", "auroc")
DRAWS = 400
SMOKE = {
    "windows": 16,
    "batch_size": 8,
    "warmup_windows": 8,
    "children": 2,
    "held_out_children": 2,
    "validation_windows": 16,
    "validation_every": 8,
    "pixels": 32,
    "workers": 0,
}


def run_setting(name: str, sections: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Pre-train one setting and evaluate it."""
    model, pretrain = MODELS[SETTINGS[name]], sections["pretrain"]
    network_settings = settings_of(model, sections["finetune"])
    stream = make_stream_settings(pretrain, sections["prepare_clips"], sections["refine_pose"])
    began = time.process_time()
    result = pretrain_on_stream(
        model,
        pretrain,
        network_settings,
        stream,
        save_as=folder / f"{name}.state.safetensors",
        fingerprint=json.dumps([name, pretrain.model_dump(mode="json"), network_settings.model_dump(mode="json")]),
        cache=folder / "outlines",
    )
    seconds = time.process_time() - began
    trained = rebuild(result, model.build(network_settings, pretrain.pixels), network_settings.encoder.head_hidden)
    batches = held_out_batches(pretrain, stream, loading_of(trained.network, network_settings), folder / "outlines")
    scale = {key: result.tensors[f"scale.measure_{key}"].numpy() for key in ("mean", "deviation")}
    logits, truth = predictions_by_child(trained, batches, scale["mean"], scale["deviation"])
    return evaluate(logits, truth) | {"processor_seconds": round(seconds, 1), "history": result.history}


def rebuild(result: PretrainingResult, network: Any, hidden: int) -> PretrainingModel:
    """The pre-trained network and its measures' head, from the tensors of the checkpoint."""
    model = PretrainingModel(network, hidden)
    for prefix, part in (("network.", model.network), ("measures.", model.heads.measures)):
        state = {key.removeprefix(prefix): value for key, value in result.tensors.items() if key.startswith(prefix)}
        part.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()}, strict=False)
    return model


def evaluate(logits: Any, truth: Any) -> dict[str, float]:
    """Means over the targets, and the 95 % interval of balanced accuracy over draws of children."""
    rng = np.random.default_rng(0)
    weights = np.stack(
        [np.bincount(rng.integers(0, len(truth), len(truth)), minlength=len(truth)) for _ in range(DRAWS)]
    )
    half = np.full(truth.shape[1], 0.5)
    point = measure(sigmoid(logits), truth, np.ones((1, len(truth))), thresholds=half, bins=2, balanced=False)
    drawn = measure(sigmoid(logits), truth, weights.astype(float), thresholds=half, bins=2, balanced=False)
    found = {name: mean_or_nan(point[name][0]) for name in METRICS if name in point}
    each = [mean_or_nan(row) for row in drawn["balanced_accuracy"]]
    low, high = np.nanpercentile(each, [2.5, 97.5]) if np.isfinite(each).any() else (np.nan, np.nan)
    return found | {"low": float(low), "high": float(high)}


def mean_or_nan(values: Any) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def to_markdown(results: dict[str, Any]) -> str:
    """One row per setting."""
    lines = ["# Pre-training: prompting and pruning at one budget", "", f"{results['windows']} windows each."]
    lines += ["", "| setting | balanced accuracy | 95 % | F1 | AUROC | processor s |", "|---|--:|--:|--:|--:|--:|"]
    for name in SETTINGS:
        if name in results:
            row = results[name]
            interval = f"{row['low']:.3f} to {row['high']:.3f}"
            values = " | ".join(f"{row.get(key, float('nan')):.3f}" for key in ("f1", "auroc"))
            seconds = row["processor_seconds"]
            lines.append(f"| {name} | {row['balanced_accuracy']:.3f} | {interval} | {values} | {seconds} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=48000)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--folder", type=Path, default=Path(".cache/bench-pretraining"), help="of states and outlines")
    parser.add_argument("--smoke", action="store_true")
    given = parser.parse_args()
    sections: dict[str, Any] = dict(load_params(given.params))
    changes = SMOKE if given.smoke else {"windows": given.windows}
    sections["pretrain"] = sections["pretrain"].model_copy(update=changes)
    given.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(sections["pretrain"].threads)
    out = given.folder / "smoke" if given.smoke else Path("reports/bench")
    out.mkdir(parents=True, exist_ok=True)
    target = out / "pretraining.json"
    results = json.loads(target.read_text()) if target.exists() and not given.smoke else {}
    told = sections["pretrain"].model_dump(mode="json")
    if results.get("settings") != told:
        results = {"settings": told, "windows": told["windows"], "children": told["children"], "device": told["device"]}
    for name in SETTINGS:
        if name not in results:
            results[name] = run_setting(name, sections, given.folder)
            write_json(target, results)
            write_text(out / "pretraining.md", to_markdown(results))
            print(f"{name}: balanced accuracy {results[name]['balanced_accuracy']:.3f}", flush=True)


if __name__ == "__main__":
    main()
