"""The study's lineage as files: table, manifest, page, and a crate that the community's validator accepts offline."""

import csv
import hashlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from childgait.engine.run_step import run_step
from childgait.files.tables import read_table
from childgait.lineage.graph import read_graph
from childgait.steps.trace_lineage import LINEAGE, trace_lineage
from support import toy_study

# RO-Crate 1.1 calls everything as schema.org does, but for these (https://w3id.org/ro/crate/1.1/context).
CONTEXT = "https://w3id.org/ro/crate/1.1/context"
OTHER_TERMS = {
    "File": "http://schema.org/MediaObject",
    "ComputationalWorkflow": "https://bioschemas.org/ComputationalWorkflow",
    "conformsTo": "http://purl.org/dc/terms/conformsTo",
}
OUTPUTS = {
    "lineage": "lineage.parquet",
    "manifest": "manifest.csv",
    "page": "lineage.html",
    "crate": "ro-crate-metadata.json",
}


def trace() -> None:
    values = {name: Path("reports") / file for name, file in OUTPUTS.items()}
    run_step(
        trace_lineage,
        {"report": Path("reports/write_report.record.json"), **values},
        None,
        Path("reports/trace_lineage.record.json"),
    )


@pytest.fixture(autouse=True)
def _study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    toy_study.run_toy_study(["0001", "0002", "0007"], seed=1)
    trace()


def test_the_table_ties_the_report_to_every_raw_file():
    table = read_table(Path("reports/lineage.parquet"), LINEAGE)
    raw = table.filter(pl.col("in_report") & pl.col("raw"))
    assert set(raw["path"]) == {str(p) for p in Path("data/raw").rglob("*") if p.is_file()}
    for path, digest in raw.select("path", "sha256").iter_rows():
        assert digest == hashlib.sha256(Path(path).read_bytes()).hexdigest()
    split = table.filter(pl.col("step") == "split_subjects").row(0, named=True)
    assert json.loads(split["params"])["split_subjects"]["seed"] == 1
    assert table.filter(pl.col("path") == "data/register/0007-0001_left_1-240.json")["subject"].unique().to_list() == [
        "0007"
    ]


def test_the_manifest_joins_hashes_child_and_size():
    rows = {row["path"]: row for row in csv.DictReader(io.StringIO(Path("reports/manifest.csv").read_text()))}
    video = Path("data/raw/dataset/0007/0007-0001_left_1-240.mp4")
    assert rows[str(video)] == {
        "path": str(video),
        "subject": "0007",
        "bytes": "640",
        "sha256": hashlib.sha256(video.read_bytes()).hexdigest(),
        "dvc_md5": hashlib.md5(video.read_bytes()).hexdigest(),
    }
    assert len(rows) == 8


def test_the_same_study_gives_the_same_bytes():
    first = {file: (Path("reports") / file).read_bytes() for file in OUTPUTS.values()}
    trace()
    assert first == {file: (Path("reports") / file).read_bytes() for file in OUTPUTS.values()}


def test_the_page_is_whole_and_draws_the_graph():
    page = Path("reports/lineage.html").read_text()
    assert not re.search(r"(src|href)\s*=|url\(|@import", page)  # nothing from elsewhere
    for text in ("raw files: 6 files", "prepare_clips → finetune: 4 files", "finetune → write_report: 1 files"):
        assert text.replace("raw files: 6 files", "raw files → register: 6 files") in page
    assert "<details><summary>split_subjects</summary><pre>" in page  # settings do not bury the steps
    assert page.count("<div class=wide ") == page.count("</div>") == 3  # what is wider than a telephone scrolls
    boxes = re.findall(r'<rect[^>]* x="(\d+)" y="(\d+)"', page)
    assert len(boxes) == len(set(boxes)) == 8  # seven steps and the raw files, none on top of another


def terms_of(crate: dict) -> set[str]:
    own = set(crate["@context"][1])
    keys = {key for entity in crate["@graph"] for key in entity if not key.startswith("@")}
    kinds = [entity["@type"] for entity in crate["@graph"]]
    return (keys | {kind for kind in kinds if isinstance(kind, str)}).union(
        *(k for k in kinds if isinstance(k, list))
    ) - own


def seed_context(cache: Path, terms: set[str]) -> None:
    """Put the context's document, as far as the crate uses it, where the validator keeps what it has fetched."""
    from requests import adapters
    from requests_cache import CachedSession
    from urllib3 import HTTPResponse

    context = {term: OTHER_TERMS.get(term, f"http://schema.org/{term}") for term in terms}
    body = json.dumps({"@id": CONTEXT, "@context": context}).encode()

    class Canned(adapters.HTTPAdapter):
        def send(self, request, **_):
            raw = HTTPResponse(io.BytesIO(body), {"Content-Type": "application/ld+json"}, 200, preload_content=False)
            return self.build_response(request, raw)

    with CachedSession(str(cache), backend="sqlite", expire_after=-1) as session:
        session.mount("https://", Canned())
        assert session.get(CONTEXT).status_code == 200


def validate(folder: Path, cache: Path) -> subprocess.CompletedProcess:
    command = [
        Path(sys.executable).with_name("rocrate-validator"),
        "--disable-color",
        "validate",
        "--offline",
        "--metadata-only",
        "--cache-path",
        cache,
        "-p",
        "provenance-run-crate",
        "-l",
        "required",
        "-v",
        "-f",
        "text",
        "--no-paging",
        folder,
    ]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True)


def test_the_community_accepts_the_crate_and_would_refuse_a_wrong_one(tmp_path):
    file = Path("reports/ro-crate-metadata.json")
    crate = json.loads(file.read_text())
    seed_context(tmp_path / "cache", terms_of(crate))
    done = validate(Path("reports"), tmp_path / "cache")
    assert done.returncode == 0, done.stdout
    assert "valid provenance-run-crate-0.5" in done.stdout
    for entity in crate["@graph"]:
        if entity["@type"] == "HowToStep":
            entity.pop("workExample")
    file.write_text(json.dumps(crate))
    assert validate(Path("reports"), tmp_path / "cache").returncode != 0


def test_the_crate_names_every_file_that_it_speaks_of():
    crate = json.loads(Path("reports/ro-crate-metadata.json").read_text())
    known = {entity["@id"] for entity in crate["@graph"]}
    for entity in crate["@graph"]:
        if entity["@type"] == "CreateAction":
            spoken = {part["@id"] for key in ("object", "result") for part in entity[key]} | {
                entity["instrument"]["@id"]
            }
            assert spoken <= known
    by_name = {entity.get("name"): entity for entity in crate["@graph"]}
    video = "data/raw/dataset/0007/0007-0001_left_1-240.mp4"
    assert by_name[video]["sha256"] == read_graph(Path()).files[video]["sha256"]
    assert sum(entity["@type"] == "CreateAction" for entity in crate["@graph"]) == 17 + 1  # each job, and the whole
