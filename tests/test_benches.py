"""No bench rots: each imports what it measures, and those that need neither a study nor minutes run at a small size."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from childgait.engine.source_files import ROOT
from childgait.lineage.search import find_traces
from childgait.params import Synthesize
from childgait.synthetic.cohort import write_cohort
from support.chromium import CHROMIUM
from support.small_study import PARAMS

BENCHES = sorted((ROOT / "bench").glob("*.py"))
LEARNED = "--children 6 --size 32 --processes 1 --work WORK"
SMALL = {  # bench -> its flags; OUT is its table, COHORT a small cohort, WORK an empty folder
    "cohort": "--subjects 2 --out OUT",
    "explanations": "--train 4 --test 4 --networks stgcn --epochs 1 --seeds 0 --out OUT",
    "rules": "--subjects 2 --out OUT",
    "loader": "--windows 1 --rounds 1 --pixels 32 --out OUT",
    "encoder": "--only training --device cpu --precision fp32 --train-size tiny --train-batch 1 --workers 0 --out OUT",
    "lineage": "--children 8 --videos 8 --trainings 1 --megabytes 1 --repeats 1 --out OUT",
    "intervals": "--repeats 2 --truth 4000 --children 60 --out OUT",
    "hostile": "--count 1 --out OUT",
    "pose": "--cohort COHORT --out OUT",
    "segment": "--keep COHORT --only 0001-0001_left --report OUT",
    "blazepose": "--cohort COHORT --videos 1 --landmarks full --out OUT",
    "deidentify": "--cohort --parts speed --speed-frames 3 --rounds 1 --out OUT",
    "review": "--width 320 --height 180 --frames 12 --out OUT",
    "scale": "--subjects 1 --rounds 1 --report OUT",
    "pretraining": "--smoke --work WORK",
    "kills": "--smoke --folder WORK --out OUT",
    "without_keypoints": "--cohort COHORT --videos 1 --out OUT",
}
AFTER_LEARNING = {  # benches that read the runs of bench/learning.py, in this order
    "learning": f"{LEARNED} --models majority gru stgcn --set epochs=1 warmup_epochs=0 --out OUT",
    "children": f"{LEARNED} --train 2 3 --models rules --set epochs=1 warmup_epochs=0 --out OUT",
    "peers": "--work WORK --out OUT",
    "tasks": "--work WORK --models stgcn --out OUT",
    "abstention": "--predictions WORK/evaluate/gru/holdout-0/predictions.parquet --splits 2 --out OUT",
}


def test_there_are_benches() -> None:
    assert {path.stem for path in BENCHES} == {*SMALL, *AFTER_LEARNING}


@pytest.mark.parametrize("path", BENCHES, ids=lambda path: path.stem)
def test_what_a_bench_imports_exists(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(path.parent))  # some share functions
    spec = importlib.util.spec_from_file_location(f"bench_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    assert callable(module.main)


def test_a_cohort_that_is_not_measured_again_keeps_its_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    import without_keypoints as bench

    row = {"view": "left", "alone": True, "measured": "2026-11-28", "verdict": "covered", "error": None, "seconds": 3.0}
    row |= {"video": "0001-0001_left_1-90", "core_seconds": {}, "reasons": []}
    rules = {"items": {"1": {}}, "children": 2, "embedded": 0.6, "delivered": 0.8}
    out = tmp_path / "out.json"
    first = bench.merge(bench.read_earlier(out), {"a": [row], "b": [row, row]}, rules)
    out.write_text(json.dumps(first))
    again = bench.merge(
        bench.read_earlier(out), {"b": [row | {"measured": "2026-11-30"}], "c": []}, {**rules, "items": {}}
    )
    assert {title: len(rows) for title, rows in again["cohorts"].items()} == {"a": 1, "b": 1}
    assert again["rules"] == []  # they were over both cohorts
    lines = "\n".join(bench.report(again["cohorts"], again["rules"]))
    assert "| a (2026-11-28) |" in lines
    assert "| b (2026-11-30) |" in lines


@pytest.mark.slow
def test_outputs_named_after_one_child_are_those_of_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    import scale as bench

    folders = tmp_path / "named", tmp_path / "planned"
    for folder in folders:
        folder.mkdir()
        bench.copy_rules(folder)
    named = bench.outputs_after(folders[0], 3)
    bench.make_recordings(folders[1], 3)
    planned = bench.planned_outputs(bench.plan_all(folders[1]).output)
    assert len(named) == len(set(named))
    assert set(named) == set(planned)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cohort of two children in short, small videos."""
    folder = tmp_path_factory.mktemp("cohort")
    small = {"subjects": 2, "width": 480, "height": 270, "seconds": [2.0, 2.4], "missing_views": 0.0}
    write_cohort(folder, Synthesize.model_validate({**PARAMS["synthesize"], **small}), 1)
    return folder


def start(name: str, flags: str, out: Path, **paths: Path) -> str:
    """Run a bench and return its table."""
    for placeholder, path in {"OUT": out, **paths}.items():
        flags = flags.replace(placeholder, str(path))
    sources = os.pathsep.join(str(ROOT / folder) for folder in ("src", "tests"))
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench" / f"{name}.py"), *flags.split()],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": sources},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return out.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_a_bench_runs_at_a_small_size(name: str, cohort: Path, tmp_path: Path) -> None:
    if name == "review" and CHROMIUM is None:
        pytest.skip("no Chromium here")
    out = tmp_path / "smoke" / "pretraining.md" if name == "pretraining" else tmp_path / "out.md"
    assert "|" in start(name, SMALL[name], out, COHORT=cohort, WORK=tmp_path)


@pytest.mark.slow
def test_the_benches_on_runs_of_learning_run_at_a_small_size(tmp_path: Path) -> None:
    for name, flags in AFTER_LEARNING.items():
        assert "|" in start(name, flags, tmp_path / f"{name}.md", WORK=tmp_path / "work"), name


def test_no_report_of_a_bench_reads_as_data_of_a_child() -> None:
    """Erasing a child searches reports, too; 0001 is the example in messages that two benches quote."""
    reports = [path for path in (ROOT / "reports" / "bench").rglob("*") if path.is_file()]
    assert reports
    assert {child: found for n in range(2, 25) if (found := find_traces(child := f"{n:04d}", set(), reports))} == {}
