"""Makes the embedded cohort: walking children whose gait is known, in the release's own layout.

Reads nothing. Writes `{out}/dataset`, labels.json, subjects.csv, cohort.json (every recording's hash), and
`{out}/truth`, which no step reads. Whole or not there: an earlier synthetic cohort is replaced at the end, and a folder
that holds anything else is refused.
"""

from __future__ import annotations

from pathlib import Path

from childgait.errors import StepError
from childgait.params import Synthesize
from childgait.step import Output, threads


def synthesize(
    out: Output, params: Synthesize, subjects: int | None = None, seed: int | None = None, preview: bool = False
) -> None:
    """Write a synthetic cohort; `--subjects`, `--seed` overrule params.yaml, `--preview` adds a contact sheet and a clip."""
    from childgait.synthetic.cohort import write_cohort

    changes = {name: value for name, value in (("subjects", subjects), ("seed", seed)) if value is not None}
    params = Synthesize.model_validate(params.model_dump() | changes)
    _refuse_other_folder(out)
    summary = write_cohort(out, params, threads())
    if preview:
        from childgait.synthetic.preview import write_preview

        write_preview(out, summary["recordings"])
    frames = sum(entry["frames"] for entry in summary["recordings"])
    print(f"{params.subjects} children, {len(summary['recordings'])} videos, {frames} frames")


def _refuse_other_folder(out: Path) -> None:
    """Only a folder that this step made is replaced: a real cohort has the same names in it."""
    from childgait.files.atomic import target_of

    target = target_of(out)
    if target.is_dir() and any(target.iterdir()) and not (target / "truth" / "subjects.json").is_file():
        raise StepError(
            f"--out {target} holds files but is no synthetic cohort (it has no truth/subjects.json)",
            hint="choose an empty or new folder; nothing was touched",
        )
