"""No name from data is a command: names are checked where they enter and quoted where they leave.

The names are planted as folder, file, link, row and params value: a command of the shell, a wildcard of Snakemake, an
option, an argument file, a newline.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from childgait.engine.command_line import format_argument, format_call
from childgait.errors import StepError
from childgait.files.recordings import list_recordings
from childgait.files.split_list import read_split_list
from childgait.params import read_params
from childgait.preflight.params import videos_of_table
from childgait.steps.register import check_raw_path

ROOT = Path(__file__).parents[1]
HOSTILE = (
    "0002$(touch PWNED)",
    "0004;touch PWNED;echo ",
    "0004|touch PWNED||echo ",
    "0001`touch PWNED`",
    "0001 && touch PWNED",
    "0001{x}",
    "0001{input}",
    "-rf",
    "--video",
    "@list",
    "0001\ntouch PWNED",
    "0001'",
    '0001"',
    "~root",
    "0001*",
    "0001>PWNED",
    "Anna_Mueller",
    "٠٠٠١",
)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_of_a_folder_or_file(tmp_path: Path, name: str) -> None:
    for number, (folder, file) in enumerate(
        ((name, "0001-0001_left_1-9.mp4"), ("0001", f"{name}.mp4"), ("0001", f"{name}-0001_left_1-9_filtered_pose.zip"))
    ):
        path = tmp_path / str(number) / "dataset" / folder / file
        path.parent.mkdir(parents=True)
        path.touch()
        with pytest.raises(StepError) as caught:
            list_recordings(tmp_path / str(number))
        assert name not in str(caught.value), "a name that may be a child's is not printed"
        with pytest.raises(StepError):
            check_raw_path(path, "0001-0001_left_1-9")


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("key", ["root", "annotations"])
def test_a_path_in_params(tmp_path: Path, name: str, key: str) -> None:
    """Also where the folder exists, and as a part of a longer path."""
    from childgait.params import Cohort

    section = read_params(ROOT / "params.yaml")["cohort"]
    for value in (name, f"data/{name}", f"{name}/data"):
        plain = name in ("Anna_Mueller", "٠٠٠١")  # a folder above the children may have such a name
        if plain or (name in ("-rf", "--video") and value == f"x/{name}"):
            Cohort.model_validate(section | {key: value})
            continue
        with pytest.raises(ValueError, match="a path without blanks is expected"):
            Cohort.model_validate(section | {key: value})


@pytest.mark.parametrize("name", HOSTILE)
def test_a_row_of_a_table_and_other_keys_of_params(tmp_path: Path, name: str) -> None:
    from childgait.params import Cohort, Finetune

    sections = read_params(ROOT / "params.yaml")
    with pytest.raises(ValueError, match="names of recordings are expected"):
        Cohort.model_validate(sections["cohort"] | {"exclude": {name: "a reason"}})
    for key in ("models", "folds"):
        with pytest.raises(ValueError, match="should match pattern"):
            Finetune.model_validate(sections["finetune"] | {key: [name]})
    quoted = '"' + name.replace('"', '""') + '"'
    (tmp_path / "split.csv").write_text(f"subject,part\n{quoted},test\n")
    with pytest.raises(StepError):
        read_split_list(tmp_path / "split.csv")
    (tmp_path / "regions.csv").write_text(f"video\n{quoted}\n")
    if "\n" in name:
        with pytest.raises(StepError, match="open quotation mark"):
            videos_of_table(tmp_path / "regions.csv")
    else:  # compared with the names of recordings, never passed on
        assert videos_of_table(tmp_path / "regions.csv") == [(2, name)]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_value_is_quoted_for_the_shell(tmp_path: Path, name: str) -> None:
    """What the grammar would let through by mistake still arrives as one argument."""
    line = format_call(
        "register", [("video", name), ("poses", [name, "b"]), ("code", "stamp")], {"name": name}, tmp_path
    )
    assert shlex.split(line) == ["--video", name, "--poses", name, "b", "--name", name]
    echoed = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], cwd=tmp_path, capture_output=True, text=True)
    assert echoed.stdout.split("\0")[1] == name
    assert not list(tmp_path.glob("PWNED*"))


def test_a_long_list_goes_through_a_file(tmp_path: Path) -> None:
    paths = [f"data/{number:06d}.json" for number in range(5000)]
    flag, reference = shlex.split(format_argument("gate", "rows", paths, tmp_path))
    assert flag == "--rows"
    assert Path(reference.removeprefix("@")).read_text().split() == paths


def copy_workflow(folder: Path) -> None:
    for name in ("Snakefile", "params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, folder)
    for name in ("workflow", "profiles", "annotations"):
        shutil.copytree(ROOT / name, folder / name)
    (folder / "src").symlink_to(ROOT / "src")


@pytest.mark.slow
def test_a_text_of_params_with_braces_is_no_wildcard(tmp_path: Path) -> None:
    """Of the rules, `reidentify` alone has a text of params.yaml as a param of its own, which Snakemake expands."""
    copy_workflow(tmp_path)
    text = (tmp_path / "params.yaml").read_text()
    for key in ("  weights: ''  ", "    cache: ''  ", "  rater: ''  "):
        assert key in text
        text = text.replace(key, key.replace("''", "'$(touch PWNED){x}'"))
    (tmp_path / "params.yaml").write_text(text)
    for part in ("train", "validation", "test"):
        path = tmp_path / f"data/split_subjects/holdout.{part}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    command = ["--cores", "1", "--dry-run", "-s", "workflow/rules/reidentify.smk", "--", "reidentify"]
    done = subprocess.run([sys.executable, "-m", "snakemake", *command], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list(tmp_path.rglob("PWNED*"))


@pytest.mark.slow
def test_the_workflow_refuses_a_folder_that_is_a_command(tmp_path: Path) -> None:
    copy_workflow(tmp_path)
    for name in ("0001", "0002$(touch PWNED)"):
        folder = tmp_path / "data" / "demo" / "dataset" / name
        folder.mkdir(parents=True)
        (folder / f"{name[:4]}-0001_left_1-90.mp4").touch()
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1", "-s", "workflow/rules/register.smk", "--", "register_all"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "is no number of a child: 0… (18 characters)" in done.stdout + done.stderr
    assert not list(tmp_path.rglob("PWNED*"))
    assert not [path for path in tmp_path.rglob("*.snakemake.log") if "PWNED" in path.read_text()]
