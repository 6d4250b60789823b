"""Pre-trains with and without prompting and pruning, then measures each on a cohort that went through the pipeline.

    python bench/pretraining.py --study ../study110         # hours; a killed bench continues where it stopped
    python bench/pretraining.py --smoke                     # a minute: proves that it runs, measures nothing
    ... --transfer fps30=../study30fps raised=../study30up  # and the largest budget's row on other cohorts
    ... --children 33 300 --more ../study240                # and with the scores of more children

`--study` is a checkout in which a study's clips and splits exist: `make run` with synthesize.subjects: 110 and a seed
of its own, and the values of prepare_clips and finetune that the demo has. Every row is the same encoder on the same
stream, schedule and number of windows, then the same head (finetune.head: measures, encoder frozen) on the same
children, with the given fine-tuning seeds; nothing is chosen on the test children. The first budget is that of the
comparison of the four settings and of all rows but the budget curve's, whose points have a schedule each. Further rows
of the prompted and pruned network: the same second of walking in 8, 16 or 32 frames (`--frames`), other seeds of
pre-training (`--pretraining-seeds`), masked reconstruction (`--methods`; `masked` has no measures' head, so all of its
weights are fine-tuned with a linear one), scores of fewer or more training children (`--children`; `--more` is a
further study of the same settings and a seed of its own, whose children all join the training part), and other networks
on the same stream (`--networks`), pre-trained and from scratch. `--transfer` takes further studies, each made until its
splits, with other settings of the generator: all their children are test children of the row with the largest budget,
whose head and calibration stay those of the first study; its loss is that against the first study's test children.
Writes reports/bench/pretraining.json and .md (with --smoke into the work folder).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import learning
import polars as pl
import psutil
import torch
import yaml

from childgait.domain.evgs import CODES
from childgait.files.atomic import write_json, write_text
from childgait.metrics.of_study import ScopePredictions, compare_models, measure_model, read_predictions
from childgait.models.registry import MODELS
from childgait.params import load_params
from childgait.steps.pretrain import pretrain

SETTINGS = {"prompted_pruned": "childgait_video", "prompted": "prompted", "pruned": "pruned", "plain": "videomae"}
FRAMES, FRAME_STEP = 16, 2  # of the demo: a window of 1.07 seconds, with clips at 30 frames per second
METRICS = ("balanced_accuracy", "f1", "auroc", "accuracy")
DRAWS = 2000
CAPTIONS = {  # of the tables of the prompted and pruned network
    "budget_curve": "Budget of pre-training, each on a schedule of its own:",
    "frames": "The same second of walking in fewer or more frames, pre-trained and fine-tuned with them:",
    "pretraining_seeds": "Other seeds of pre-training, with other synthetic children and initial weights:",
    "methods": "Masked reconstruction, alone (all weights fine-tuned, linear head) or beside the dense targets (both):",
    "training_children": "Scores of fewer or more training children, from the largest budget's checkpoint:",
    "networks": "Other networks on the same stream (measures' head), and from scratch (linear head, all weights):",
}
TRANSFER = (
    "The largest budget's row, head and calibration unchanged, on cohorts of other generator settings; the loss is in "
    "points of mean balanced accuracy against the test children above:"
)
OTHER_COHORT = 5000  # is added to the numbers of its children, so that none is taken for a child of the study
PARTS = ("train", "validation", "test")
SMOKE_WINDOWS = 16
SMOKE = {
    "batch_size": 8,
    "warmup_windows": 8,
    "children": 2,
    "held_out_children": 2,
    "validation_windows": 16,
    "validation_every": 8,
    "pixels": 32,
    "workers": 0,
    "precision": "fp32",  # every CPU has it
}


@dataclass(frozen=True)
class Row:
    """One row of a table: a network of the registry, its pre-training, and the children whose scores it learns."""

    name: str
    model: str
    windows: int
    frames: int = FRAMES
    seed: int | None = None  # of pre-training; None: pretrain.seed
    method: str = "dense"
    children: int | None = None  # training children; None: all
    scratch: bool = False  # without pre-training

    @property
    def checkpoint(self) -> str:
        """Return the folder of its pre-training."""
        parts = [self.model, str(self.windows)]
        parts += [f"{self.frames}frames"] if self.frames != FRAMES else []
        parts += [f"seed{self.seed}"] if self.seed is not None else []
        return "-".join(parts + ([self.method] if self.method != "dense" else []))

    @property
    def folder(self) -> str:
        """Return the folder of its fine-tuned runs."""
        if self.scratch:
            return f"{self.model}-scratch"
        return self.checkpoint if self.children is None else f"{self.checkpoint}-{self.children}children"


def rows_of(given: argparse.Namespace) -> dict[str, list[Row]]:
    """Return the rows of each table: the four settings at the first budget, then variants of the main one."""
    first, largest, main = given.windows[0], max(given.windows), SETTINGS["prompted_pruned"]
    return {
        "settings": [Row(name, model, first) for name, model in SETTINGS.items()],
        "budget_curve": [Row(f"{windows}", main, windows) for windows in sorted(given.windows)],
        "frames": [Row(f"{frames} frames", main, first, frames=frames) for frames in given.frames],
        "pretraining_seeds": [Row(f"seed {seed}", main, first, seed=seed) for seed in given.pretraining_seeds],
        "methods": [Row(method, main, first, method=method) for method in given.methods],
        "training_children": [Row(f"{count} children", main, largest, children=count) for count in given.children],
        "networks": [row for model in given.networks for row in network_rows(model, first)],
    }


def network_rows(model: str, windows: int) -> list[Row]:
    """Return the rows of another network: pre-trained on the stream, and from scratch."""
    return [Row(model, model, windows), Row(f"{model}, from scratch", model, 0, scratch=True)]


def processor_seconds() -> float:
    """Return the processor time of this process and of the workers that paint its windows.

    A fork server starts these, so that this process does not inherit their time when they end: the server does.
    """
    spent = sum(os.times()[:4])
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
            times = process.cpu_times()
            spent += times.user + times.system + times.children_user + times.children_system
    return spent


def pretrain_row(row: Row, work: Path, changes: dict[str, Any]) -> Path | None:
    """Pre-train a row, unless that is done; return its checkpoint, or None for a row from scratch."""
    if row.scratch:
        return None
    folder = work / "pretrain" / row.checkpoint
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / "weights.safetensors"
    if weights.exists():
        return weights
    section: Any = load_params(Path("params.yaml"))["pretrain"]
    warmup = min(section.warmup_windows, row.windows // 10)
    every = min(section.validation_every, row.windows)
    settings = {"windows": row.windows, "warmup_windows": warmup, "validation_every": every, "method": row.method}
    settings |= {"frame_step": step_of(row)} | ({} if row.seed is None else {"seed": row.seed}) | changes
    began = processor_seconds()
    pretrain(
        folder / "unfinished",
        folder / "weights.json",
        folder / "history.csv",
        folder / "strip.png",
        row.model,
        section.model_copy(update=settings),
        study=write_params(row, folder / "params.yaml"),
        checkpoint=work / "pretrain",
    )
    (folder / "seconds").write_text(f"{processor_seconds() - began:.0f}")
    (folder / "unfinished").rename(weights)
    return weights


def step_of(row: Row) -> int:
    """Return the frame step at which a window of the row lasts as long as one of FRAMES frames."""
    return FRAMES * FRAME_STEP // row.frames


def write_params(row: Row, path: Path) -> Path:
    """Write params.yaml with the row's frames, from which pre-training reads what the network gets."""
    values = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    values["finetune"] |= {"frames": row.frames, "frame_step": step_of(row)}
    write_text(path, yaml.safe_dump(values, sort_keys=False))
    return path


def select_children(tables: list[Path], count: int, target: Path) -> None:
    """Write the rows of `count` training children, drawn by a fixed seed; a larger number includes a smaller one's.

    A table's children are all taken before those of the next one.
    """
    rows = pl.concat([pl.read_parquet(table) for table in tables])
    drawn = [
        pl.read_parquet(table)["subject"].unique().sort().sample(fraction=1, shuffle=True, seed=0) for table in tables
    ]
    children = pl.concat(drawn).head(count)
    if len(children) < count:
        raise SystemExit(f"--children {count}: there are {len(children)} training children; see --more")
    rows.filter(pl.col("subject").is_in(children.implode())).write_parquet(target)


def prepare_folder(row: Row, work: Path, more: Path | None) -> Path:
    """Make the folder of a row's runs: links to the study's clips and parts, and its own training children."""
    folder = work / "rows" / row.folder
    folder.mkdir(parents=True, exist_ok=True)
    train = "holdout.train.parquet"
    if row.children is not None and not (folder / train).exists():
        tables = [work / train]
        if more is not None and row.children > pl.read_parquet(work / train)["subject"].n_unique():
            import_study(more, work, folder, "more.parquet")
            tables.append(folder / "more.parquet")
        select_children(tables, row.children, folder / train)
    for name in ("clips", *(f"holdout.{part}.parquet" for part in PARTS)):
        if not (folder / name).exists():
            (folder / name).symlink_to((work / name).absolute())
    return folder


def settings_of(row: Row, weights: Path | None) -> dict[str, Any]:
    """Return the changes of finetune's settings: weights, head, and what of the network learns."""
    whole = row.scratch or row.method == "masked"
    head = {"head": "linear", "tune": "full"} if whole else {"head": "measures", "tune": "head"}
    start = "" if weights is None else str(weights.absolute())
    return {"weights": start, **head, "overrides": {}, "frames": row.frames, "frame_step": step_of(row)}


def schedule_of(epochs: int) -> dict[str, Any]:
    """Return the changes of finetune's schedule."""
    return {"epochs": epochs, "warmup_epochs": min(epochs // 10, 4)}


def evaluate_row(
    row: Row, weights: Path | None, work: Path, seeds: list[int], changes: dict[str, Any], more: Path | None = None
) -> ScopePredictions:
    """Fine-tune the head of a row with each seed; return the predictions on the test children."""
    folder = prepare_folder(row, work, more)
    for seed in seeds:
        learning.run(folder, row.model, seed, settings_of(row, weights) | changes, views=4)
    paths = [folder / "evaluate" / row.model / f"holdout-{seed}" / "predictions.parquet" for seed in seeds]
    return read_predictions(paths)["holdout"][row.model]


def evaluate_elsewhere(row: Row, name: str, study: Path, work: Path, seeds: list[int]) -> ScopePredictions:
    """Predict all children of another study with the fine-tuned runs of a row."""
    trained, folder = work / "rows" / row.folder, work / "transfer" / name
    if not (folder / "holdout.test.parquet").exists():
        import_study(study, work, folder, "holdout.test.parquet")
    for path in (trained / "finetune", work / "holdout.train.parquet", work / "holdout.validation.parquet"):
        if not (folder / path.name).exists():
            (folder / path.name).symlink_to(path.absolute())
    for seed in seeds:
        learning.run(folder, row.model, seed, {}, views=4)
    paths = [folder / "evaluate" / row.model / f"holdout-{seed}" / "predictions.parquet" for seed in seeds]
    return read_predictions(paths)["holdout"][row.model]


def import_study(study: Path, work: Path, folder: Path, target: str) -> None:
    """Write one table of all children of another study, under numbers that the first study does not have.

    The folder's clips are then those of both studies.
    """
    clips = folder / "clips"
    clips.mkdir(parents=True, exist_ok=True)
    for facts in sorted((work / "clips").glob("*.clip.json")):
        link_clip(facts, clips, facts.name.removesuffix(".clip.json"))
    for facts in sorted((study / "data/prepare_clips").glob("*.clip.json")):
        values = json.loads(facts.read_text(encoding="utf-8"))
        values |= {"subject": renumber(values["subject"]), "video": renumber(values["video"])}
        write_json(clips / f"{values['video']}.clip.json", values)
        link_clip(facts, clips, values["video"])
    own = pl.read_parquet(work / "holdout.test.parquet")
    parts = [pl.read_parquet(study / f"data/split_subjects/holdout.{part}.parquet") for part in PARTS]
    table = pl.concat(parts).select(own.columns).cast(dict(own.schema)).sort("video")
    table = table.with_columns(
        pl.col("subject", "video").map_elements(renumber, return_dtype=pl.String),
        split_hash=pl.lit(own["split_hash"][0]),
    )
    table.write_parquet(folder / target)


def renumber(name: str) -> str:
    """Return the name of a child or video with another child's number: 0003-0001_left_1-9, 5003-0001_left_1-9."""
    return f"{int(name[:4]) + OTHER_COHORT:04d}{name[4:]}"


def link_clip(facts: Path, folder: Path, name: str) -> None:
    """Link a clip's files into a folder under a name, unless they are there."""
    own = facts.name.removesuffix(".clip.json")
    for path in facts.parent.glob(f"{own}.*"):
        link = folder / f"{name}{path.name.removeprefix(own)}"
        if not link.exists():
            link.symlink_to(path.absolute())


def figures_of(row: Row, weights: Path | None, predictions: ScopePredictions) -> dict[str, Any]:
    """Return what the JSON file holds of a row: means over the targets, the interval of the first, and validation."""
    groups = measure_model(predictions, DRAWS, 0).groups
    overall = groups["overall"]
    first = overall["balanced_accuracy"]
    items = {code: groups[f"item.{code}"]["balanced_accuracy"].value for code in CODES}
    return {
        "name": row.name,
        "model": row.model,
        "windows": row.windows,
        **{name: overall[name].value for name in METRICS},
        "low": first.low,
        "high": first.high,
        "items": items,
        **pretraining_figures(weights),
    }


def pretraining_figures(weights: Path | None) -> dict[str, Any]:
    """Return what is shown of a pre-training: its sources, validation and processor time; nothing of none."""
    if weights is None:
        return {"code": None, "held_out": {"r2_knee": None, "r2_measures": None}, "processor_seconds": None}
    spent, description = weights.with_name("seconds"), json.loads(weights.with_name("weights.json").read_text())
    return {
        "code": description["code"][:12],
        "held_out": {name: description["validation"].get(name) for name in ("r2_knee", "r2_measures")},
        "processor_seconds": int(spent.read_text()) if spent.exists() else None,
    }


def difference(first: ScopePredictions, second: ScopePredictions) -> dict[str, float | None]:
    """Return the paired difference of mean balanced accuracy over the same test children, with its interval."""
    result = compare_models(first, second, draws=DRAWS, seed=0)
    return {"difference": result.difference, "low": result.low, "high": result.high}


def link_study(study: Path, work: Path) -> None:
    """Link the clips and the hold-out's parts of a finished study into the work folder."""
    links = {"clips": study / "data/prepare_clips"}
    links |= {f"holdout.{part}.parquet": study / f"data/split_subjects/holdout.{part}.parquet" for part in PARTS}
    for name, target in links.items():
        if not target.exists():
            raise SystemExit(f"there is no {target}: run the study first (see --help)")
        if not (work / name).exists():
            (work / name).symlink_to(target.absolute())


def make_smoke_study(work: Path) -> None:
    """Make clips and splits of six children, without the pipeline."""
    learning.make_all_clips(work, 6, SMOKE["pixels"], 1)
    learning.make_parts(work, 6)


def to_markdown(results: dict[str, Any]) -> str:
    """Return the tables: the four settings, their differences, and the variants of the main one."""
    parts, stream = results["parts"], results["pretrain"]
    about = (
        f"{results['children']} children through the whole pipeline (synthesize.seed {results['cohort_seed']}): "
        f"{parts['train']} train, {parts['validation']} validate, {parts['test']} test. Pre-trained on "
        f"{stream['children']} other synthetic children (seed {stream['seed']}), on {results['device']}; encoder "
        f"frozen, head measures, {results['fine_tuning_epochs']} epochs; fine-tuning seeds "
        f"{', '.join(map(str, results['seeds']))}. Means over the targets and seeds; intervals over draws "
        "of the test children; R² on held-out children of the stream. One pre-training seed each, but where stated."
    )
    about += sources_sentence(results)
    head = "| row | windows | balanced accuracy | 95 % | F1 | AUROC | knee R² | measures R² | processor s |"
    rule = "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    lines = ["# Pre-training on synthetic walks", "", about, "", head, rule]
    lines += [to_line(name, results[name]) for name in SETTINGS if name in results]
    if results["differences"]:
        lines += ["", "Prompted and pruned minus another, points of mean balanced accuracy over the same children:", ""]
    lines += [f"- minus {name}: {to_points(row)}" for name, row in results["differences"].items()]
    for key, caption in CAPTIONS.items():
        if results[key]:
            lines += ["", caption, "", head, rule, *(to_line(row["name"], row) for row in results[key])]
        if key == "budget_curve" and results[key]:
            lines += ["", to_items(results[key][-1])]
    if results["transfer"]:
        lines += ["", TRANSFER, "", "| cohort | children | balanced accuracy | 95 % | F1 | AUROC | loss |"]
        lines += ["|---|--:|--:|--:|--:|--:|--:|", *map(to_transfer_line, results["transfer"])]
    return "\n".join(lines) + "\n"


def sources_sentence(results: dict[str, Any]) -> str:
    """Return which rows were pre-trained by which state of the sources, if there are several."""
    rows = [(name, results[name]) for name in SETTINGS if name in results]
    rows += [(row["name"], row) for key in CAPTIONS for row in results[key]]
    by_code: dict[str, list[str]] = {}
    for name, row in rows:
        if row["windows"] > 0:
            by_code.setdefault(row["code"] or "not recorded", []).append(name)
    if len(by_code) < 2:
        return ""
    groups = "; ".join(f"{code}: {', '.join(dict.fromkeys(names))}" for code, names in by_code.items())
    return f" Pre-trained by several states of the sources, by their hash ({groups})."


def to_items(row: dict[str, Any]) -> str:
    """Return the sentence on each item of a row: above majority or not."""
    values = {code: row["items"][code] for code in CODES if row["items"].get(code) is not None}
    below = [code for code, value in values.items() if value <= 0.5]
    listed = ", ".join(f"{code} {value:.2f}" for code, value in values.items())
    missed = f", not {', '.join(below)}" if below else ""
    return (
        f"Balanced accuracy per item with {row['windows']} windows: {listed}. Above the majority's .5: "
        f"{len(values) - len(below)} of {len(values)}{missed}."
    )


def to_points(row: dict[str, float | None]) -> str:
    """Return a difference and its interval in points of a hundred."""
    each = ["–" if row[key] is None else f"{100 * row[key]:+.1f}" for key in ("difference", "low", "high")]
    return f"{each[0]} ({each[1]} to {each[2]})"


def to_line(name: str, row: dict[str, Any]) -> str:
    """Return one line of a table."""
    interval = f"{row['low']:.3f} to {row['high']:.3f}" if row["low"] is not None else "–"
    values = [row["f1"], row["auroc"], row["held_out"]["r2_knee"], row["held_out"]["r2_measures"]]
    cells = " | ".join("–" if value is None else f"{value:.3f}" for value in values)
    balanced = "–" if row["balanced_accuracy"] is None else f"{row['balanced_accuracy']:.3f}"
    return f"| {name} | {row['windows']} | {balanced} | {interval} | {cells} | {row['processor_seconds'] or '–'} |"


def to_transfer_line(row: dict[str, Any]) -> str:
    """Return one line of the table of other cohorts."""
    values = " | ".join(f"{row[name]:.3f}" for name in ("f1", "auroc"))
    interval = f"{row['low']:.3f} to {row['high']:.3f}"
    loss = f"{100 * row['loss']:+.1f}" if row["loss"] is not None else "–"
    return f"| {row['name']} | {row['children']} | {row['balanced_accuracy']:.3f} | {interval} | {values} | {loss} |"


def measure_transfer(
    given: argparse.Namespace, work: Path, seeds: list[int], own: float | None
) -> list[dict[str, Any]]:
    """Return the figures of the largest budget's row on each of the other cohorts; `own`: on the first study."""
    rows: list[dict[str, Any]] = []
    largest = max(given.windows)
    row = Row(f"{largest}", SETTINGS["prompted_pruned"], largest)
    for name, study in given.transfer:
        predictions = evaluate_elsewhere(row, name, study, work, seeds)
        overall = measure_model(predictions, DRAWS, 0).overall
        first = overall["balanced_accuracy"]
        figures = {metric: overall[metric].value for metric in METRICS} | {"low": first.low, "high": first.high}
        loss = None if own is None or first.value is None else own - first.value
        children = pl.read_parquet(work / "transfer" / name / "holdout.test.parquet")["subject"].n_unique()
        rows.append({"name": name, "children": children, "windows": largest, **figures, "loss": loss})
    return rows


def named_study(text: str) -> tuple[str, Path]:
    """Read `name=folder`."""
    name, found, folder = text.partition("=")
    if not found or not Path(folder).is_dir():
        raise argparse.ArgumentTypeError(f"{text} is not name=folder of a study")
    return name, Path(folder)


def describe_study(work: Path, seeds: list[int], study: Path | None) -> dict[str, Any]:
    """Return what the JSON file holds of cohort, split and settings."""
    sections: Any = load_params((study or Path()) / "params.yaml")
    own: Any = load_params(Path("params.yaml"))
    counts = {part: pl.read_parquet(work / f"holdout.{part}.parquet")["subject"].n_unique() for part in PARTS}
    return {
        "cohort_seed": sections["synthesize"].seed,
        "children": sum(counts.values()),
        "parts": counts,
        "seeds": seeds,
        "device": own["pretrain"].device,
        "pretrain": own["pretrain"].model_dump(mode="json"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, help="checkout of a finished study of this cohort")
    parser.add_argument("--windows", type=int, nargs="+", default=[48000, 6000, 12000, 24000, 192000, 384000])
    parser.add_argument("--frames", type=int, nargs="*", default=[8, 32], help="frames of a window, divisors of 32")
    parser.add_argument("--pretraining-seeds", type=int, nargs="*", default=[990002, 990003])
    parser.add_argument("--methods", nargs="*", default=["masked", "both"], choices=["masked", "both"])
    parser.add_argument("--children", type=int, nargs="*", default=[33], help="training children whose scores are used")
    parser.add_argument("--more", type=Path, help="folder of a study whose children may join the training children")
    parser.add_argument("--networks", nargs="*", default=["lstm", "stgcn"], choices=[*MODELS], metavar="NETWORK")
    parser.add_argument("--transfer", type=named_study, nargs="*", default=[], help="name=folder of other studies")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of fine-tuning")
    parser.add_argument("--epochs", type=int, default=40, help="of fine-tuning")
    parser.add_argument("--scratch-epochs", type=int, default=40, help="of the rows without pre-training")
    parser.add_argument("--work", type=Path, default=Path(".cache/bench-pretraining"), help="checkpoints and runs")
    parser.add_argument("--smoke", action="store_true")
    given = parser.parse_args()
    if not given.smoke and given.study is None:
        parser.error("give --study, or --smoke")
    work = given.work / "smoke" if given.smoke else given.work
    work.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{work.absolute()}/mlflow.db")
    torch.set_num_threads(1)
    seeds = [0] if given.smoke else given.seeds
    if given.smoke:
        given.windows, given.frames, given.pretraining_seeds, given.children = [SMOKE_WINDOWS], [], [], []
        given.methods, given.networks = ["masked"], ["lstm"]
    epochs = 1 if given.smoke else given.epochs
    scratch_epochs = 1 if given.smoke else given.scratch_epochs
    make_smoke_study(work) if given.smoke else link_study(given.study, work)
    out = work if given.smoke else Path("reports/bench")
    results = describe_study(work, seeds, given.study)
    results |= {"fine_tuning_epochs": epochs, "differences": {}, "transfer": []} | {key: [] for key in CAPTIONS}
    predictions: dict[str, ScopePredictions] = {}
    for key, rows in rows_of(given).items():
        for row in rows:
            weights = pretrain_row(row, work, SMOKE if given.smoke else {})
            changes = schedule_of(scratch_epochs if row.scratch else epochs)
            predictions[row.name] = evaluate_row(row, weights, work, seeds, changes, given.more)
            figures = figures_of(row, weights, predictions[row.name])
            if key == "settings":
                results[row.name] = figures
            else:
                results[key].append(figures)
            if key == "settings" and row.name != "prompted_pruned":
                results["differences"][row.name] = difference(predictions["prompted_pruned"], predictions[row.name])
            write_json(out / "pretraining.json", results)
            write_text(out / "pretraining.md", to_markdown(results))
            print(f"{key}, {row.name}: {figures['balanced_accuracy']}", flush=True)
    own = [row["balanced_accuracy"] for row in results["budget_curve"] if row["windows"] == max(given.windows)]
    results["transfer"] = measure_transfer(given, work, seeds, own[0])
    write_json(out / "pretraining.json", results)
    write_text(out / "pretraining.md", to_markdown(results))


if __name__ == "__main__":
    main()
