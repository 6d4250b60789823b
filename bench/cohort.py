"""Measures how often the synthetic children's items are atypical, against the published shares, and rendering time.

    .venv/bin/python bench/cohort.py --subjects 500 --seed 7        labels only; nothing is rendered
    .venv/bin/python bench/cohort.py --film 12 --processes 2        also twelve children as params.yaml has them, twice

Writes reports/bench/cohort.md.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from childgait.domain.evgs import CODES, LIMBS
from childgait.files.hashes import sha256, sha256_of_text
from childgait.params import Synthesize, load_section
from childgait.report.published import (
    CHILD_TOTAL_SD,
    ITEM_CORRELATIONS,
    LIMB_TOTAL_CORRELATION,
    LIMB_TOTAL_MEAN,
    LIMB_TOTAL_SD,
    MAJORITY_ACCURACY,
    PREVALENCE,
)
from childgait.synthetic.cohort import child_of, write_cohort


def rated_scores(params: Synthesize) -> np.ndarray:
    """(children, 2 limbs, 17 items) as rated."""
    rows = []
    for index in range(params.subjects):
        _, scores = child_of(index, params)
        rows.append([[scores[limb][code]["rated"] for code in CODES] for limb in LIMBS])
    return np.array(rows)


def table(scores: np.ndarray) -> str:
    atypical = scores > 0
    lines = [
        f"{len(scores)} children, two limbs each. `within`: share atypical within .10 of the published one.",
        "",
        "| item | atypical | published | within | score 2 | limbs agree | published |",
        "|---|--:|--:|:-:|--:|--:|--:|",
    ]
    near = 0
    for place, code in enumerate(CODES):
        own, other = atypical[:, :, place].mean(), PREVALENCE[code]
        within = abs(own - other.atypical) <= 0.10
        near += within
        agree = (atypical[:, 0, place] == atypical[:, 1, place]).mean()
        two = (scores[:, :, place] == 2).mean()
        cells = [f"{own:.2f}", f"{other.atypical:.2f}", "yes" if within else "no", f"{two:.2f}", f"{agree:.2f}"]
        lines.append("| " + " | ".join([code, *cells, f"{other.agreement:.2f}"]) + " |")
    totals = atypical.sum(axis=2)
    shares = atypical.mean(axis=(0, 1))
    majority = np.maximum(shares, 1 - shares).mean()
    lines += [
        "",
        f"{near} of {len(CODES)} items within .10 of the published share.",
        "",
        "| | ours | published |",
        "|---|--:|--:|",
        f"| always the majority is right | {majority:.3f} | {MAJORITY_ACCURACY:.2f} |",
        f"| atypical items a limb, mean | {totals.mean():.2f} | {LIMB_TOTAL_MEAN:.1f} |",
        f"| ... standard deviation | {totals.std():.2f} | {LIMB_TOTAL_SD:.1f} |",
        f"| left and right totals, correlation | {np.corrcoef(totals.T)[0, 1]:.2f} | {LIMB_TOTAL_CORRELATION:.2f} |",
        f"| atypical items a child, standard deviation | {totals.sum(axis=1).std():.2f} | {CHILD_TOTAL_SD:.1f} |",
        f"| score 2 among atypical items | {(scores == 2).sum() / atypical.sum():.3f} | rare |",
        "",
        "Correlation (phi) of two items of a limb:",
        "",
        "| items | ours | published |",
        "|---|--:|--:|",
    ]
    place = {code: number for number, code in enumerate(CODES)}
    for (one, other_item), published in ITEM_CORRELATIONS.items():
        pair = [atypical[:, :, place[code]].ravel() for code in (one, other_item)]
        lines.append(f"| {one}, {other_item} | {np.corrcoef(*pair)[0, 1]:.2f} | {published:.2f} |")
    return "\n".join(lines) + "\n"


def film(params: Synthesize, processes: int) -> str:
    """Measure time and size of a whole cohort, and compare a second one byte by byte."""
    digests, seconds, text = [], [], ""
    for _ in range(2):
        before = processor_seconds()
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            recordings = write_cohort(Path(folder) / "cohort", params, processes)["recordings"]
            seconds.append(time.perf_counter() - started)
            files = sorted(p for p in Path(folder).rglob("*") if p.is_file())
            digests.append(sha256_of_text("".join(sha256(path) for path in files))[:16])
            size = sum(path.stat().st_size for path in files) / 1e6
        text = (
            f"{params.subjects} children of the population {params.population}, "
            f"{len(recordings)} videos of {params.width}x{params.height}, "
            f"{sum(entry['frames'] for entry in recordings)} frames, {size:.0f} MB on {processes} processes: "
            f"{processor_seconds() - before:.0f} processor seconds; "
        )
    who = resource.RUSAGE_CHILDREN if processes > 1 else resource.RUSAGE_SELF
    peak = resource.getrusage(who).ru_maxrss // 1024
    same = "the same" if len(set(digests)) == 1 else "NOT the same"
    text += f"by the clock {' and '.join(f'{s:.0f}' for s in seconds)} seconds, whatever else the machine did; "
    return f"\n{text}at most {peak} MB in a process. Two runs' files are {same}: {', '.join(digests)}.\n"


def processor_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=500)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--film", type=int, default=0, help="how many children to film")
    parser.add_argument("--width", type=int, help="of the films; else as params.yaml has it")
    parser.add_argument("--height", type=int)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--out", type=Path, default=Path("reports/bench/cohort.md"))
    arguments = parser.parse_args()
    section = load_section(arguments.params, Synthesize)
    params = section.model_copy(update={"subjects": arguments.subjects, "seed": arguments.seed})
    text = ""
    for population in ("independent", "clinic"):
        scores = rated_scores(params.model_copy(update={"population": population}))
        text += f"## Population {population}\n\n{table(scores)}\n"
    if arguments.film:
        size = {name: value for name in ("width", "height") if (value := getattr(arguments, name))}
        text += film(section.model_copy(update={"subjects": arguments.film} | size), arguments.processes)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(f"# Labels of the synthetic cohort\n\nSeed {arguments.seed}.\n\n{text}", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
