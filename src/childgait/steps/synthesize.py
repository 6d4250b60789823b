"""Write the synthetic demo cohort: walking children with known gait, in the release's layout.

Reads nothing. Writes `{out}/dataset`, labels.json, subjects.csv, cohort.json (every recording's hash), and
`{out}/truth`, which no step reads. The folder is written completely or not at all: an earlier synthetic cohort is
replaced at the end, and a folder with any other content is refused. Children are written one by one, so memory does not
grow with their number. A cohort of the release's size:

    CHILDGAIT_THREADS=16 childgait synthesize --out data/large --subjects 110 --sessions 3 --width 1920 --height 1080
"""

from __future__ import annotations

from pathlib import Path

from childgait.engine.flags import Output
from childgait.errors import StepError
from childgait.params import Synthesize
from childgait.threads import threads


def synthesize(
    out: Output,
    params: Synthesize,
    subjects: int | None = None,
    seed: int | None = None,
    sessions: int | None = None,
    width: int | None = None,
    height: int | None = None,
    preview: bool = False,
) -> None:
    """Write a synthetic cohort. Arguments override params.yaml; `--preview` adds a contact sheet and a clip."""
    from childgait.synthetic.cohort import write_cohort

    overrides = {"subjects": subjects, "seed": seed, "sessions": sessions, "width": width, "height": height}
    params = _override(params, {name: value for name, value in overrides.items() if value is not None})
    _refuse_other_folder(out)
    summary = write_cohort(out, params, threads())
    if preview:
        from childgait.synthetic.preview import write_preview

        write_preview(out, summary["recordings"])
    frames = sum(entry["frames"] for entry in summary["recordings"])
    print(f"{params.subjects} children, {len(summary['recordings'])} videos, {frames} frames")


def _override(params: Synthesize, changes: dict[str, int]) -> Synthesize:
    from pydantic import ValidationError

    from childgait.params import allowed

    try:
        return Synthesize.model_validate(params.model_dump() | changes)
    except ValidationError as error:
        detail = error.errors()[0]
        name = str(detail["loc"][0])
        raise StepError(
            f"--{name} is {changes[name]}, but {allowed(detail)}",
            hint=f"src/childgait/params.py states the range of synthesize.{name}",
        ) from None


def _refuse_other_folder(out: Path) -> None:
    """Refuse to replace a folder that this step did not write: a real cohort has the same file names."""
    from childgait.files.atomic import target_of

    target = target_of(out)
    if target.is_dir() and any(target.iterdir()) and not (target / "truth" / "subjects.json").is_file():
        raise StepError(
            f"--out {target} contains files but is no synthetic cohort (it has no truth/subjects.json)",
            hint="choose an empty or new folder; nothing was touched",
        )
