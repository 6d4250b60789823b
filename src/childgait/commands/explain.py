"""Shows what a model's answers rest on.

    childgait explain data/finetune/childgait_video/holdout-0 --part data/split_subjects/holdout.test.parquet

A network: a sheet of frames per child with the patches, cells or joints that mattered, beside the same from random
weights, and a table of how much of it lies at the joints each item is about. The rules: a table of every measured
value, its band and its moment. Boosted trees: which numbers they lean on.
"""

from __future__ import annotations

from pathlib import Path

from childgait.errors import StepError


def explain(
    run: Path,
    part: Path = Path("data/split_subjects/holdout.test.parquet"),
    clips: Path = Path("data/prepare_clips"),
    out: Path = Path("logs/explain"),
    children: int = 2,
    seed: int = 0,
) -> None:
    """For the first children of a part, every item of every recording, and on each child's sheet the answer `atypical`
    that the model of the folder `run` is surest of; of the rules and trees, all. `out` is a folder; an erasure looks
    into logs."""
    import cv2
    import numpy as np
    from safetensors.numpy import load_file

    from childgait.domain.names import parse_video_name
    from childgait.files.model_description import ModelDescription
    from childgait.files.parts import open_part
    from childgait.gait.features import measure_items
    from childgait.models.registry import find_model
    from childgait.training.gradcam import explain as maps_of
    from childgait.training.predict import predict, settings_from

    if not (run / "model.json").exists():
        raise StepError(f"{run} has no model.json", hint="name the folder of a finished run, as finetune leaves it")
    description = ModelDescription.read(run / "model.json")
    model, settings, facts = find_model(description.model), settings_from(description), description.facts
    opened = open_part(part, sorted(clips.glob("*.clip.json")))
    out.mkdir(parents=True, exist_ok=True)
    if model.name == "rules":
        table = out / "measured.csv"
        measure_items(opened.clips).write_csv(table, float_precision=3)
        print(f"{table}: what was measured, its typical band, and when")
        return
    if "importance" in facts:
        for code, shares in facts["importance"].items():
            print(f"{code}: " + (", ".join(f"{name} {share:.0%}" for name, share in shares.items()) or "not learnt"))
        return
    if model.kind == "table":
        raise StepError(
            f"{model.name} reads neither pictures nor joints, so there is nothing to show",
            hint="name the folder of a network's run, of the rules or of the trees",
        )
    weights = load_file(run / "weights.safetensors")
    judged = predict(model, settings, weights, facts, opened, windows_per_video=1)
    focus, shown, sheet = maps_of(model, settings, weights, facts, opened, judged, children, seed)
    focus.write_csv(out / "focus.csv", float_precision=4)
    for one, strips in zip(shown, np.split(sheet, len(shown)), strict=True):
        picture = out / f"{parse_video_name(one.video).subject}.png"  # a child's alone, so that it can be erased
        cv2.imwrite(str(picture), cv2.cvtColor(strips, cv2.COLOR_RGB2BGR))
        print(f"{picture}: {one.video} {one.target}, agreement with random weights {one.agreement}")
    print("Two strips a child, the trained model's and that of random weights")
    columns = ("share", "even", "random_share", "agreement")
    share, even, random_share, agreement = (_mean(focus[name].drop_nulls().to_list()) for name in columns)
    print(
        f"{out / 'focus.csv'}: at the joints the items are about lies {share} of what counts, of random weights "
        f"{random_share}, spread evenly {even}; agreement with random weights {agreement}"
    )


def _mean(values: list[float]) -> str:
    return f"{sum(values) / len(values):.2f}" if values else "none"
