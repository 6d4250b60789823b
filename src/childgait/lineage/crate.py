"""The study as a Workflow Run RO-Crate (provenance profile 0.5, https://w3id.org/ro/wfrun/provenance/0.5).

Every job becomes a CreateAction (its step's tool, the files it read with their hashes, the files it made), every step a
HowToStep. Raw videos cannot be shipped: they are listed with hash and size. The crate contains no time of the run, so
that the same study gives the same bytes; `datePublished`, which the standard requires, is the date of this form.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TypedDict

from childgait import __version__
from childgait.files.hashes import sha256_of_text
from childgait.files.records import FileEntry
from childgait.lineage.graph import Graph, Job
from childgait.lineage.show import code_hash, steps_of

Entity = dict[str, object]  # of JSON-LD
Crate = TypedDict("Crate", {"@context": Sequence[object], "@graph": list[Entity]})

FORM_DATED = "2026-11-21"
WORKFLOW = "../Snakefile"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/ro/wfrun/provenance/0.5": "Provenance Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
# Terms that the base context lacks; written out, so that a reader needs one document less.
CONTEXT = [
    "https://w3id.org/ro/crate/1.1/context",
    {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256", "md5": "https://w3id.org/ro/terms/workflow-run#md5"},
]


def crate_of(graph: Graph) -> Crate:
    """Build the crate, entities in a fixed order. It lies in reports/, so files are named from there."""
    jobs = graph.upstream(graph.jobs.values())
    tools = {step: _tool(step, jobs_of_step) for step, jobs_of_step in steps_of(jobs).items()}
    files = [_file(path, graph.files[path]) for path in sorted(graph.files)]
    params = {entity["@id"]: entity for job in jobs for entity in _params(job)}
    actions = [_action(job) for job in jobs]
    controls = [_control(job) for job in jobs]
    run = _run(graph)
    root = _root(files, [*actions, run])
    return {
        "@context": CONTEXT,
        "@graph": [
            _descriptor(),
            root,
            *_fixed(),
            _workflow(tools),
            *tools.values(),
            *(_how_to(step, place) for place, step in enumerate(tools)),
            *files,
            *params.values(),
            *actions,
            *controls,
            run,
            _organize(controls, run),
        ],
    }


def crate_text(graph: Graph) -> str:
    """Write the crate, one entity per line: small for a thousand videos, and two crates can be compared by line."""
    crate = crate_of(graph)
    lines = ",\n".join(json.dumps(entity, sort_keys=True, ensure_ascii=False) for entity in crate["@graph"])
    return f'{{"@context": {json.dumps(crate["@context"])},\n"@graph": [\n{lines}\n]}}\n'


def reference(path: str) -> str:
    """Name a path of the repository as the crate does."""
    from urllib.parse import quote

    return path if path.startswith("/") else quote(f"../{path}" if not path.startswith("reports/") else path[8:])


def _ids(entities: list[Entity]) -> list[Entity]:
    return [{"@id": entity["@id"]} for entity in entities]


def _descriptor() -> Entity:
    return {
        "@id": "ro-crate-metadata.json",
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": [
            {"@id": "https://w3id.org/ro/crate/1.1"},
            {"@id": "https://w3id.org/workflowhub/workflow-ro-crate/1.0"},
        ],
    }


def _root(files: list[Entity], actions: list[Entity]) -> Entity:
    return {
        "@id": "./",
        "@type": "Dataset",
        "name": "A childgait study",
        "description": "Every file of a study of children's gait with its hash, and the job, settings and source files "
        "that made it. Files are named from the folder reports/ of the repository; "
        "the videos themselves are not shipped.",
        "datePublished": FORM_DATED,
        "license": {"@id": "https://spdx.org/licenses/Apache-2.0"},
        "conformsTo": [{"@id": name} for name in PROFILES],
        "mainEntity": {"@id": WORKFLOW},
        "hasPart": [{"@id": WORKFLOW}, *_ids(files)],
        "mentions": _ids(actions),
        "author": {"@id": "#authors"},
    }


def _fixed() -> Iterator[Entity]:
    for name, title in PROFILES.items():
        yield {"@id": name, "@type": "CreativeWork", "name": title, "version": name.rsplit("/", 1)[1]}
    yield {"@id": "https://spdx.org/licenses/Apache-2.0", "@type": "CreativeWork", "name": "Apache License 2.0"}
    yield {"@id": "#authors", "@type": "Organization", "name": "The childgait authors"}
    yield {
        "@id": "https://w3id.org/workflowhub/workflow-ro-crate#snakemake",
        "@type": "ComputerLanguage",
        "name": "Snakemake",
        "identifier": {"@id": "https://snakemake.github.io"},
        "url": {"@id": "https://snakemake.github.io"},
    }
    yield {
        "@id": "#engine",
        "@type": "SoftwareApplication",
        "name": "Snakemake inside DVC",
        "url": "https://snakemake.github.io",
    }


def _workflow(tools: dict[str, Entity]) -> Entity:
    return {
        "@id": WORKFLOW,
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
        "name": "childgait",
        "version": __version__,
        "encodingFormat": "text/plain",
        "programmingLanguage": {"@id": "https://w3id.org/workflowhub/workflow-ro-crate#snakemake"},
        "hasPart": _ids(list(tools.values())),
        "step": [{"@id": f"#how-{step}"} for step in tools],
    }


def _tool(step: str, jobs: list[Job]) -> Entity:
    hashes = sorted({code_hash(job.code) for job in jobs})
    return {
        "@id": f"#step-{step}",
        "@type": "SoftwareApplication",
        "name": f"childgait {step.replace('_', '-')}",
        "softwareVersion": f"{__version__}, source files {', '.join(hashes)}",
    }


def _how_to(step: str, place: int) -> Entity:
    return {
        "@id": f"#how-{step}",
        "@type": "HowToStep",
        "position": str(place),
        "workExample": {"@id": f"#step-{step}"},
    }


def _file(path: str, entry: FileEntry) -> Entity:
    entity: Entity = {
        "@id": reference(path) + ("/" if "files" in entry else ""),
        "@type": "Dataset" if "files" in entry else "File",
        "name": path,
        "sha256": entry["sha256"],
        "contentSize": str(entry["bytes"]),
    }
    if "md5" in entry:
        entity["md5"] = entry["md5"]
    return entity


def _params(job: Job) -> Iterator[Entity]:
    for section, values in sorted(job.params.items()):
        text = json.dumps(values, sort_keys=True, ensure_ascii=False)
        yield {
            "@id": f"#params-{section}-{sha256_of_text(text)[:12]}",
            "@type": "PropertyValue",
            "name": section,
            "value": text,
        }


def _action(job: Job) -> Entity:
    read = [{"@id": reference(entry["path"]) + ("/" if "files" in entry else "")} for entry in job.inputs]
    return {
        "@id": f"#job-{job.name}",
        "@type": "CreateAction",
        "name": f"{job.step}: {job.name}",
        "description": f"environment {job.environment.get('lock_sha256')}; source files {code_hash(job.code)}",
        "instrument": {"@id": f"#step-{job.step}"},
        "object": [*read, *_ids(list(_params(job)))],
        "result": [{"@id": reference(entry["path"])} for entry in job.outputs],
        "agent": {"@id": "#authors"},
        "actionStatus": {"@id": "http://schema.org/CompletedActionStatus"},
    }


def _control(job: Job) -> Entity:
    return {
        "@id": f"#control-{job.name}",
        "@type": "ControlAction",
        "instrument": {"@id": f"#how-{job.step}"},
        "object": {"@id": f"#job-{job.name}"},
    }


def _run(graph: Graph) -> Entity:
    """Describe the workflow as one action: raw files in, reports out."""
    raw = [path for path in sorted(graph.files) if not graph.makers_of(path)]
    last = [path for path in sorted(graph.files) if path.startswith("reports/")]
    return {
        "@id": "#run",
        "@type": "CreateAction",
        "name": "The study, from raw files to reports",
        "instrument": {"@id": WORKFLOW},
        "agent": {"@id": "#authors"},
        "object": [{"@id": reference(p) + ("/" if "files" in graph.files[p] else "")} for p in raw],
        "result": [{"@id": reference(p)} for p in last],
    }


def _organize(controls: list[Entity], run: Entity) -> Entity:
    return {
        "@id": "#organized",
        "@type": "OrganizeAction",
        "instrument": {"@id": "#engine"},
        "object": _ids(controls),
        "result": {"@id": run["@id"]},
    }
