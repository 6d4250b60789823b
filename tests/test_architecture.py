"""The architecture: names, layers, and which code may use what."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from childgait import __version__, params
from childgait.engine import flags
from childgait.engine.source_files import PACKAGE, code_of
from childgait.report.methods import STEPS as SHOWN_STEPS

ROOT = PACKAGE.parent.parent
STEPS = sorted(path.stem for path in (PACKAGE / "steps").glob("*.py") if path.stem != "__init__")
RULES = {path.stem: path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk")}


def imports_of(path: Path) -> set[str]:
    result = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            result |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            result.add(node.module)
            result |= {f"{node.module}.{alias.name}" for alias in node.names}
    return result


def test_there_are_steps() -> None:
    assert len(STEPS) >= 16


def test_rules_and_documents_list_the_steps_of_the_folder() -> None:
    """The modules of steps/ are the source; tests/report/test_methods.py compares the report's list with them."""
    rules = "\n".join(RULES.values())
    assert set(re.findall(r'code=code\("(\w+)"\)', rules)) == set(STEPS)
    rows = re.findall(r"^\| (\w+) \|", (ROOT / "docs" / "STEPS.md").read_text(), re.MULTILINE)
    assert sorted(rows[1:]) == STEPS  # the first row is the table's head
    order = [step for step in rows if step in SHOWN_STEPS and step != "gate"]
    assert order == [step for step in SHOWN_STEPS if step != "gate"]  # both in running order; gates run in between


@pytest.mark.parametrize("name", STEPS)
def test_one_name_a_step(name: str) -> None:
    """The rule, the module, its function, its params, its log and its test have the same name."""
    result = flags.find_function(name)
    assert result is not None
    function, recorded = result
    assert function.__name__ == name
    assert recorded
    rules = "\n".join(RULES.values())
    assert re.search(rf"^ *rule {name}:", rules, re.MULTILINE), f"no rule {name}"
    assert f"childgait {name} " in rules, f"no rule calls the step {name}"
    assert re.search(rf'"logs/{name}[./]', rules), f"the log of {name} has another name"
    for flag in flags.flags_of(function):
        if flag.kind == "params":
            assert params.NAME_OF[flag.type] == name, f"{name} takes the section {params.NAME_OF[flag.type]}"
    assert (ROOT / "tests" / "steps" / f"test_{name}.py").exists(), f"no tests/steps/test_{name}.py"


@pytest.mark.parametrize("name", STEPS)
def test_a_rules_code_input_is_its_own_steps(name: str) -> None:
    """code("segment") is an input of the rule that calls childgait segment: an edit reruns exactly its steps."""
    for text in RULES.values():
        for block in re.split(r"^ *rule ", text, flags=re.MULTILINE)[1:]:
            if f"childgait {name} " in block:
                assert f'code=code("{name}")' in block


def test_sections_stand_in_running_order() -> None:
    assert list(params.SECTIONS) == [key for key in params.read_params(ROOT / "params.yaml") if key != "preset"]


def test_nothing_imports_a_step() -> None:
    for path in PACKAGE.rglob("*.py"):
        for name in imports_of(path):
            assert not name.startswith("childgait.steps"), f"{path} imports {name}"


def test_layers_point_down() -> None:
    """The contracts of pyproject.toml: layers, no import circle, no step that imports a step."""
    done = subprocess.run([Path(sys.executable).with_name("lint-imports")], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("room", ["models", "training", "metrics", "vision", "gait", "files", "synthetic", "domain"])
def test_what_computes_knows_no_workflow(room: str) -> None:
    """These packages need torch, numpy and OpenCV only; nothing they reach imports Snakemake, DVC or MLflow."""
    banned = {"mlflow", "snakemake", "great_expectations", "dvc"}
    for path in (PACKAGE / room).rglob("*.py"):
        for reached in [path, *_reached(path)]:
            roots = {name.split(".")[0] for name in imports_of(reached)}
            assert not roots & banned, f"{path.relative_to(ROOT)} reaches {reached.relative_to(ROOT)}: {roots & banned}"


def _reached(path: Path) -> list[Path]:
    from childgait.engine.source_files import reachable_files

    return [file for file in reachable_files(path) if file.suffix == ".py"]


def test_only_register_and_deidentify_read_raw_recordings() -> None:
    readers = {stage for stage, text in RULES.items() if 'include: "raw.smk"' in text}
    assert readers == {"register", "deidentify"}
    for stage, text in RULES.items():
        if stage not in ("raw", "common"):
            assert "RECORDINGS" not in text, f"{stage}.smk reaches for the raw recordings"


def test_finetune_is_never_given_a_test_table() -> None:
    assert "test" not in re.sub(r"^#.*$", "", RULES["finetune"], flags=re.MULTILINE)
    function, _ = flags.find_function("finetune") or (None, None)
    assert function is not None
    assert not [flag.name for flag in flags.flags_of(function) if "test" in flag.name]


def test_rules_hold_to_the_habits() -> None:
    for stage, text in RULES.items():
        assert "directory(" not in text, f"{stage}.smk: directory() outputs cannot be cached or checked"
        assert not re.search(r"^\s+(run|script):", text, re.MULTILINE), f"{stage}.smk: only shell: is recorded whole"
        assert not re.search(r"^\s+retries:", text, re.MULTILINE), f"{stage}.smk: retries belong in a profile"
        assert "**config" not in text, f"{stage}.smk: Snakemake compares unnamed values; pass one dict"
        for block in re.split(r"^ *rule ", text, flags=re.MULTILINE)[1:]:
            if re.search(r"^ *shell:", block, re.MULTILINE):
                name = block.split(":", 1)[0]
                assert re.search(r"^ *mem_mb=(memory\(|.* \* attempt)", block, re.MULTILINE), (
                    f"{name}: no memory that grows"
                )
                assert re.search(r"^ *runtime=minutes\(", block, re.MULTILINE), f"{name}: no minutes that grow"
    assert "persist" not in re.sub(r"#.*", "", (ROOT / "dvc.yaml").read_text())


def test_memory_and_time_grow_with_each_retry() -> None:
    made: dict[str, Any] = {}
    exec(RULES["common"][RULES["common"].index("def memory(") :], made)
    for growing in (made["memory"], made["minutes"]):
        assert [growing(10)(None, attempt) for attempt in (1, 2, 3)] == [10, 20, 30]


def test_only_profiles_know_a_cluster() -> None:
    scripts = [
        *(ROOT / "workflow").rglob("*"),
        *PACKAGE.rglob("*.py"),
        *(ROOT / name for name in ("dvc.yaml", "Snakefile")),
    ]
    for path in scripts:
        if path.is_file() and path.suffix != ".pyc":
            code = re.sub(r"#.*|\bprofiles/slurm\b", "", path.read_text())  # a hint may name the profile to look at
            assert not re.search(r"slurm|sbatch|srun|scancel|squeue", code, re.IGNORECASE), f"{path} knows Slurm"


HEAVY = (
    "torch",
    "polars",
    "cv2",
    "av",
    "scipy",
    "sklearn",
    "matplotlib",
    "mlflow",
    "great_expectations",
    "transformers",
    "onnxruntime",
    "skimage",
    "pandas",
)


@pytest.mark.parametrize("name", STEPS)
def test_starting_a_step_imports_nothing_heavy(name: str) -> None:
    """Thousands of jobs start, so a step imports heavy libraries only when it uses them; --help is immediate."""
    program = f"import sys, childgait.steps.{name}; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", f"{name} imports {done.stdout.strip()} before it runs"


def test_the_import_walk_sees_local_imports() -> None:
    files = {str(path) for path in code_of("gate")}
    assert "src/childgait/steps/gate.py" in files
    assert "src/childgait/gates.py" in files  # imported inside the function
    assert (
        "src/childgait/engine/record.py" not in files
    )  # every step is recorded; the record's own code moves no number


def test_only_the_registry_lists_items() -> None:
    """The list of 17 codes is in domain/evgs.py only; all other code imports it."""
    for path in PACKAGE.rglob("*.py"):
        if path.name != "evgs.py":
            literals = {n.value for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant)}
            codes = {
                "IC",
                "HL",
                "SAD",
                "HVV",
                "FRT",
                "FCL",
                "WAD",
                "KPA",
                "KEX",
                "KPS",
                "KFX",
                "HEX",
                "HFX",
                "POB",
                "PRT",
                "TSG",
                "TLT",
            }
            named = {value for value in literals if isinstance(value, str)} & codes
            assert named != codes or path.stem in ("published", "scoring"), f"{path} lists all the items itself"


def test_the_version_is_the_packages_everywhere() -> None:
    """Also where the package is on Python's path but not installed, as in the container image."""
    citation = next(line for line in (ROOT / "CITATION.cff").read_text().splitlines() if line.startswith("version:"))
    assert citation == f"version: {__version__}"
    assert json.loads((ROOT / "codemeta.json").read_text())["version"] == __version__
    files = [path for path in (ROOT / "src").rglob("*.py") if re.search(r"version\(.childgait.\)", path.read_text())]
    assert files == [], "the version of the installed package: there may be none"
