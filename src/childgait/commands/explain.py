"""Shows which inputs a model's predictions depend on.

    childgait explain data/finetune/childgait_video/holdout-0 --part data/split_subjects/holdout.test.parquet

For a network: a sheet of frames per child with the evidence of patches, cells or joints, beside that of random
weights, and a table of its share at each item's joints. For the rules: a table of every measured value, its band and
its time. For boosted trees: the features of largest importance.
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
    """Explain the model of the folder `run` for the first children of a part.

    The table has every item of every recording, a child's sheet the item with the highest predicted probability. `out`
    is a folder; keep it below logs, which an erasure searches.
    """
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
        print(f"{table}: measured values, their typical bands and times")
        return
    if "importance" in facts:
        for code, shares in facts["importance"].items():
            print(f"{code}: " + (", ".join(f"{name} {share:.0%}" for name, share in shares.items()) or "not fitted"))
        return
    if model.kind == "table":
        raise StepError(
            f"{model.name} reads neither pictures nor joints, so there is nothing to show",
            hint="name the folder of a network's run, of the rules or of the trees",
        )
    weights = load_file(run / "weights.safetensors")
    logits = predict(model, settings, weights, facts, opened, windows_per_video=1)
    focus, entries, sheet = maps_of(model, settings, weights, facts, opened, logits, children, seed)
    focus.write_csv(out / "focus.csv", float_precision=4)
    for one, strips in zip(entries, np.split(sheet, len(entries)), strict=True):
        picture = out / f"{parse_video_name(one.video).subject}.png"  # a child's alone, so that it can be erased
        cv2.imwrite(str(picture), cv2.cvtColor(strips, cv2.COLOR_RGB2BGR))
        print(f"{picture}: {one.video} {one.target}, agreement with random weights {one.agreement}")
    print("Two strips per child: the trained model and random weights")
    columns = ("share", "even", "random_share", "agreement")
    share, even, random_share, agreement = (_mean(focus[name].drop_nulls().to_list()) for name in columns)
    print(
        f"{out / 'focus.csv'}: {share} of the evidence lies at the items' joints, with random weights "
        f"{random_share}, if uniform {even}; rank correlation with random weights {agreement}"
    )


def _mean(values: list[float]) -> str:
    return f"{sum(values) / len(values):.2f}" if values else "none"
