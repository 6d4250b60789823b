"""`childgait erase`: after it, nothing that this clone can reach holds the child, and the child cannot come back."""

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from base64 import urlsafe_b64encode
from pathlib import Path

import cv2
import numpy as np
import pytest

from childgait.commands.erase import erase
from childgait.engine.flags import Input, Output
from childgait.engine.run_step import run_step
from childgait.engine.source_files import ROOT
from childgait.errors import StepError
from childgait.files.hashes import md5, sha256
from childgait.files.tombstones import is_erased, refuse_erased
from childgait.lineage.check import audit_tree
from childgait.lineage.erasure import CHECKPOINTS, plan_erasure
from childgait.lineage.search import files_under, find_traces
from childgait.lineage.stores import Removals, Store
from childgait.lineage.subjects import strip_table
from support import toy_study
from support.walking_videos import walk, write_video

TESTS = Path(__file__).parent.parent
OUTS = ("register", "prepare_clips", "gate", "split_subjects", "finetune", "evaluate")
STAGE = f"""
stages:
  study:
    cmd: "{sys.executable} -c 'from support import toy_study; toy_study.run_toy_study(cohort=False)'"
    deps: [data/raw]
    outs: [{", ".join("data/" + out for out in OUTS)}, reports]
"""


DECIDED = {  # people's tables: the head, the child's rows, another child's row
    "regions": (
        "video,region,frame,reason\n",
        '0007-0001_left_1-240,badge,,"red, at the\nbelt"\n' * 2,
        '0001-0001_left_1-240,badge,,"blue"\n',
    ),
    "split": ("# who tests\nsubject,part\n", "7,test\n", "0001,train\n"),
}
KILLED = (  # what killed jobs leave: weights that learnt from the child, and files half written
    ".cache/finetune/toy-0-0.safetensors",
    "data/finetune/toy/0-0/.partial-host-1-2-weights.bin",
    "data/prepare_clips/.partial-host-1-2-0007-0001_left_1-240.clip.json",
)


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def dvc(*arguments: str) -> None:
    """In this process: starting DVC anew costs seconds."""
    from dvc.cli import main

    assert main(list(arguments)) == 0, arguments


def environment(monkeypatch, folder: Path) -> None:
    """Go to a study's folder; temporary files are sought beside it, not in this computer's own folder of them."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", f"{TESTS}{os.pathsep}{ROOT / 'src'}")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(folder.parent / "site"))
    (folder.parent / "temp").mkdir(exist_ok=True)
    monkeypatch.setattr("tempfile.tempdir", str(folder.parent / "temp"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("SNAKEMAKE_OUTPUT_CACHE", raising=False)
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "a")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@example.org")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A study in git and DVC, with a remote, an older version in the caches, and what tools leave behind."""
    folder = tmp_path_factory.mktemp("original") / "clone"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as monkeypatch:
        environment(monkeypatch, folder)
        run("git", "init", "-q")
        dvc("init", "-q")
        dvc("remote", "add", "-q", "-d", "near", "../remote")
        toy_study.make_cohort(["0001", "0002", "0007"])
        toy_study.write_params(seed=1)
        Path("dvc.yaml").write_text(STAGE)
        shutil.copy(ROOT / ".dvcignore", ".")
        Path("annotations").mkdir()
        for name, (head, own, other) in DECIDED.items():
            Path(f"annotations/{name}.csv").write_text(head + own + other)
        Path("data/raw/dataset/0007/0007-0001_left_1-240.mp4").write_bytes(b"an older take of this child")
        for message in ("first", "second"):
            dvc("add", "-q", "data/raw")
            dvc("repro", "-q")
            dvc("push", "-q", "--run-cache")
            run("git", "add", "-A", ".")
            run("git", "commit", "-q", "-m", message)
            toy_study.make_cohort(["0001", "0002", "0007"])
        leave_notes()
    return folder


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A toy study outside git and DVC."""
    (tmp_path / "study").mkdir()
    environment(monkeypatch, tmp_path / "study")
    toy_study.run_toy_study()
    return tmp_path / "study"


@pytest.fixture
def clone(original, tmp_path, monkeypatch):
    shutil.copytree(original.parent, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("site"))
    environment(monkeypatch, tmp_path / "clone")
    return tmp_path / "clone"


def leave_notes() -> None:
    """What Snakemake keeps: metadata, logs, and its output cache, of two children."""
    for child, digest in (("0001", "a" * 64), ("0007", "b" * 64)):
        name = f"{child}-0001_left_1-240"
        notes = {
            f".snakemake/metadata/{child}": json.dumps({"input": [f"data/raw/dataset/{child}/{name}.mp4"]}),
            f"logs/register/{name}.log": "read it",
            f".cache/snakemake/{digest}.json": Path(f"data/register/{name}.json").read_text(),
            f".cache/snakemake/{digest}.record.json": Path(f"data/register/{name}.record.json").read_text(),
            f".snakemake/incomplete/{urlsafe_b64encode(f'data/register/{name}.json'.encode()).decode()}": "{}",
            f"logs/gate/split_subjects/{child}.html": f"<td>fold holdout subject {child} (1.0)</td>",
        }
        for path, text in notes.items():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text(text)

    for path in KILLED:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(b"half")


def objects(folder: Path) -> set[str]:
    return {path.parent.name + path.name for path in (folder / "files" / "md5").glob("*/*")}


def traces(*folders: Path, hashes: frozenset[str] | set[str] = frozenset()) -> dict[Path, str]:
    return find_traces("0007", set(hashes), [path for folder in folders for path in files_under(folder)])


def test_nothing_reachable_holds_the_child_afterwards(clone, tmp_path, capsys):
    dvc("status", "-q")  # DVC notes every file's name and hash outside the clone, too
    assert traces(tmp_path / "site")
    hashes = plan_erasure("0007", Path(), remote=True).hashes
    assert traces(Path(), tmp_path / "remote", hashes=hashes)
    others = {p: p.read_bytes() for p in Path("data").rglob("0001-*") if p.is_file()}
    Path("tests").mkdir()
    Path("tests/example.py").write_text("0007-0001_left_1-240")

    assert erase("0007", yes=True, remote=True, rerun=True) == 0

    output = capsys.readouterr().out
    assert "Git's history is not rewritten: 2 commit(s)" in output
    assert re.search(r"Summary: \d+ file\(s\) removed, \d+ table\(s\) rewritten, 0 still there", output)
    assert "its own: " not in output, "the list of files is in the log"
    assert "its own: data/raw/dataset/CHILD/CHILD-0001_left_1-240.mp4" in Path("logs/erase.log").read_text()
    result = traces(Path(), tmp_path / "remote", tmp_path / "site", hashes=hashes)
    assert [str(path) for path in result] == ["tests/example.py"]
    assert not any(b"older take of this child" in p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert {p: p.read_bytes() for p in Path("data").rglob("0001-*") if p.is_file()} == others
    assert [row["patient_id"] for row in json.loads(Path("data/raw/labels.json").read_text())] == ["0001", "0002"]
    assert "7" not in Path("data/raw/subjects.csv").read_text()
    for name, (head, _, other) in DECIDED.items():  # another child's rows stay as they were, to the byte
        assert Path(f"annotations/{name}.csv").read_text() == head + other
    assert "git add erased.jsonl annotations/regions.csv annotations/split.csv data/raw.dvc dvc.lock" in output
    assert not [path for path in KILLED if Path(path).exists()]
    for folder in (".snakemake/incomplete", "logs/gate/split_subjects"):  # named in base64, and by the bare number
        assert len(list(Path(folder).iterdir())) == 1, folder
    # The rerun made whole results without the child, and DVC agrees.
    assert Path("reports/metrics.json").exists()
    assert audit_tree(Path())[0] == []
    assert "up to date" in run(sys.executable, "-m", "dvc", "status")
    # What Snakemake kept of the other child is still there; the project's own texts name children as examples.
    assert Path("tests/example.py").read_text() == "0007-0001_left_1-240"
    assert Path(f".cache/snakemake/{'a' * 64}.json").exists()
    assert Path(".snakemake/metadata/0001").exists()
    # The others' raw files can still be had from the cache.
    shutil.rmtree("data/raw")
    dvc("checkout", "-q", "data/raw.dvc")
    assert len(list(Path("data/raw").rglob("*.mp4"))) == 4


def test_linked_files_lose_the_child_too(clone, tmp_path, capsys):
    """DVC may link its objects into the tree, and a link may lead out of it or nowhere."""
    outside = tmp_path / "share" / "visit.csv"
    outside.parent.mkdir()
    outside.write_text("subject,age\n7,8\n1,7\n")
    for path in [p for p in Path("data/raw").rglob("*") if p.is_file()]:
        digest = md5(path)
        path.unlink()
        path.symlink_to(Path(f".dvc/cache/files/md5/{digest[:2]}/{digest[2:]}").resolve())
    Path("data/raw/visit.csv").symlink_to(outside)
    Path("data/raw/dataset/0007/0007-0002_left_1-240.mp4").symlink_to(tmp_path / "gone.mp4")
    assert erase("0007", yes=True) == 0
    assert f"what they led to is still there: {outside}" in capsys.readouterr().out
    assert "7" not in Path("data/raw/subjects.csv").read_text()
    assert Path("data/raw/visit.csv").read_text() == "subject,age\n1,7\n"
    assert [row["patient_id"] for row in json.loads(Path("data/raw/labels.json").read_text())] == ["0001", "0002"]
    assert not os.path.lexists("data/raw/dataset/0007")
    cached = [p.read_bytes() for p in Path(".dvc/cache/files").rglob("*") if p.is_file()]
    assert not [content for content in cached if b'"patient_id": "0007"' in content]


def test_a_remote_is_touched_only_when_asked(clone, tmp_path, capsys):
    before = objects(tmp_path / "remote")
    erase("0007", yes=True)
    assert objects(tmp_path / "remote") == before
    output = capsys.readouterr().out
    assert "give --remote" in output
    assert "To be made again without the child: study" in output


def test_the_child_is_refused_from_then_on(clone, capsys):
    assert not is_erased("0007")
    erase("0007", yes=True)
    assert is_erased("0007")
    assert not is_erased("0001")
    refuse_erased("0001")
    with pytest.raises(StepError, match="whose data was erased") as caught:
        refuse_erased("0007")
    assert "0007" not in str(caught.value)
    stone = json.loads(Path("erased.jsonl").read_text())
    assert stone["removed"]["own files"] == 10
    assert "0007" not in Path("erased.jsonl").read_text()
    assert Path("erased.key").stat().st_mode & 0o077 == 0
    Path("erased.key").unlink()
    with pytest.raises(StepError, match=r"not its key erased\.key"):
        refuse_erased("0001")


def test_it_asks_first(clone, monkeypatch, capsys):
    before = sorted(str(p) for p in Path("data").rglob("*"))
    monkeypatch.setattr("builtins.input", lambda prompt: "0001")
    with pytest.raises(StepError, match="nothing was erased"):
        erase("0007")
    assert sorted(str(p) for p in Path("data").rglob("*")) == before
    output = capsys.readouterr().out
    assert "its own: data/raw/dataset/0007/0007-0001_left_1-240.mp4" in output
    assert "pooled, to be made again: data/finetune/toy/0-0/weights.bin" in output
    assert "its rows leave: data/raw/labels.json" in output


def test_copies_without_a_name_are_told_by_their_pixels(clone, tmp_path, capsys):
    """In the working tree, and in a temporary folder of a killed job; another child's own recording only on request."""
    pictures = walk(1, 1)
    write_video(Path("data/raw/dataset/0007/0007-0001_left_1-240.mp4"), pictures)
    other = Path("data/register/0001-0001_left_1-240.json")  # a file that the records know as another child's own
    write_video(tmp_path / "temp.mp4", pictures)
    (tmp_path / "temp.mp4").rename(other)
    body = json.loads(other.with_suffix(".record.json").read_text())
    body["outputs"]["facts"][0]["sha256"] = sha256(other)
    other.with_suffix(".record.json").write_text(json.dumps(body))
    left = tmp_path / "temp" / "tmpabcdefgh"
    left.mkdir()
    np.save(left / "batch.npy", np.stack(pictures)[5:])
    Path("picture").write_bytes(cv2.imencode(".png", pictures[9][:, :, ::-1])[1].tobytes())
    assert erase("0007", yes=True) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("STILL THERE")]
    assert [
        line.endswith(f"{path.resolve()}: it shows the child")
        for line, path in zip(lines, (Path("picture"), left / "batch.npy"), strict=True)
    ] == [True, True]
    Path("data/raw/dataset/0007").mkdir()  # it comes back
    write_video(Path("data/raw/dataset/0007/0007-0001_left_1-240.mp4"), pictures)
    for path in (Path("picture"), left / "batch.npy"):
        path.unlink()
    assert erase("0007", yes=True, all_pictures=True) == 1
    assert f"STILL THERE: {other.resolve()}: it shows the child" in capsys.readouterr().out


def test_one_child_after_another_before_anything_is_made_again(clone, capsys):
    """The erasure of 0007 leaves the test table of 0002 without a record, and no listing of the remote's objects."""
    assert erase("0007", yes=True, remote=True) == 0
    assert "0002" in Path("data/split_subjects/0.test.csv").read_text()
    bench = Path("reports/bench/table.md")
    bench.parent.mkdir()
    bench.write_text("0002-0001_left_1-240")
    assert erase("0002", yes=True, remote=True) == 1
    output = capsys.readouterr().out
    assert [line.split(": ")[1] for line in output.splitlines() if line.startswith("STILL THERE")] == [
        str(bench.resolve())
    ]
    assert "of older versions whose listing an earlier erasure removed" in output
    assert not Path("data/split_subjects/0.test.csv").exists()


@pytest.fixture(scope="module")
def undisturbed(original, tmp_path_factory):
    """The objects that an erasure leaves in the remote."""
    folder = tmp_path_factory.mktemp("undisturbed")
    shutil.copytree(original.parent, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("site"))
    with pytest.MonkeyPatch.context() as monkeypatch:
        environment(monkeypatch, folder / "clone")
        assert erase("0007", yes=True, remote=True) == 0
    return objects(folder / "remote")


@pytest.mark.parametrize("after", [4, 40])
def test_a_call_that_is_killed_within_a_remote_is_completed(clone, undisturbed, tmp_path, monkeypatch, after):
    """The listings of older versions are removed last: without them an object of the remote has no name."""
    remove = Store.remove

    def stop(self: Store, removals: Removals) -> None:
        left = iter(range(after))
        taken = self.fs.remove

        def remove_some(path: str) -> None:
            if "remote" in self.name and next(left, None) is None:
                raise KeyboardInterrupt
            taken(path)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self.fs, "remove", remove_some)
            remove(self, removals)

    monkeypatch.setattr(Store, "remove", stop)
    with pytest.raises(KeyboardInterrupt):
        erase("0007", yes=True, remote=True)
    monkeypatch.setattr(Store, "remove", remove)
    assert erase("0007", yes=True, remote=True) == 0
    assert objects(tmp_path / "remote") == undisturbed


def test_an_erased_child_is_searched_for_again(study, capsys):
    """A call may have been killed between the removal and the search."""
    assert erase("0001", yes=True) == 0
    Path("found.txt").write_text("0001-0001_left_1-240")
    assert erase("0001", yes=True) == 1
    assert "STILL THERE" in capsys.readouterr().out
    assert len(Path("erased.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.json", b'[{"patient_id": "0007", "aid": "\xfc"}]'),
        ("labels.json", b'[{"patient_id": "0007"'),
        ("labels.json", b'{"patient_id": "0007", "left": {}}'),
        ("subjects.csv", b'patient_id,age,aid\n0001,7,"none\n0007,8,cane\n'),  # swallowed by an open quotation mark
        ("subjects.csv", b"patient_id,age,aid\n0007,8,cane\n0001,7," + b"x" * 200_000),
    ],
)
def test_a_table_that_cannot_be_rewritten_stops_it_before_anything_is_removed(clone, name, content):
    before = sorted(Path("data").rglob("*"))
    Path("data/raw", name).write_bytes(content)
    with pytest.raises(StepError, match=rf"{name}.*nothing was removed"):
        erase("0007", yes=True)
    assert sorted(Path("data").rglob("*")) == before


def test_scores_of_the_child_go_too(clone):
    own, other = Path("scores/0007/child.html"), Path("scores/0001/child.html")
    for path, text in ((own, "a page"), (other, "another page")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert erase("0007", yes=True) == 0
    assert [path.exists() for path in (own, other)] == [False, True]


@pytest.mark.parametrize("lock", ["run", "stage", "jobs"])
def test_not_while_a_run_is_at_work(clone, lock):
    import fcntl

    with Path(f".snakemake/{lock}.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_SH)
        with pytest.raises(StepError, match="a run is in progress"):
            erase("0007", yes=True)


@pytest.mark.parametrize(
    ("subject", "message"), [("7", "is not a child's number"), ("0099", "nothing here holds a child 0099")]
)
def test_a_wrong_number_is_said(study, subject, message):
    with pytest.raises(StepError, match=message):
        erase(subject, yes=True)


@pytest.mark.slow
def test_mlflow_forgets(tmp_path, monkeypatch):
    import mlflow

    from childgait.lineage import mlflow_runs

    monkeypatch.chdir(tmp_path)
    store = tmp_path / "mlruns" / "mlflow.db"
    store.parent.mkdir()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}")
    client = mlflow.MlflowClient(f"sqlite:///{store}")
    experiment = client.create_experiment("childgait", artifact_location=(tmp_path / "mlruns" / "artifacts").as_uri())
    made = client.create_run(experiment, tags={"video": "0007-0001_left_1-240"})
    Path("note.txt").write_text("seen 0007-0001_left_1-240 in training")
    client.log_artifact(made.info.run_id, "note.txt")
    Path("note.txt").unlink()
    client.create_registered_model("childgait")  # the version of a bundle, whose runs were trained on the child
    client.create_model_version("childgait", made.info.artifact_uri, made.info.run_id, tags={"bundle": "0007-hash"})
    # A clone that was moved: the database names another place than the one where the artefacts lie.
    Path("mlruns/artifacts/m-1").mkdir(parents=True)
    Path("mlruns/artifacts/m-1/model.json").write_text('{"children": ["0007"]}')
    assert len(traces(tmp_path)) == 3  # both artefacts, the database
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    mlflow_runs.remove_runs(mlflow_runs.find_runs(Path()))
    assert "MLFLOW_TRACKING_URI" not in os.environ, "the next erasure would be of this store, wherever it is called"
    assert traces(tmp_path) == {}
    left = mlflow_runs.find_runs(Path())
    assert (left.ids, left.registered) == ([], [])


def test_the_pages_of_scored_visits_go_too(study):
    """`childgait score` writes below scores/, with or without the child's number in the name of the folder."""
    for child, folder in (("0001", Path("scores/0001")), ("0007", Path("scores")), ("0007", Path("scores/0007"))):
        (folder / "data/deidentify").mkdir(parents=True, exist_ok=True)
        (folder / f"data/deidentify/{child}-0001_left_1-240.mp4").write_bytes(child.encode())
        (folder / "child.json").write_text(json.dumps({"child": child}))
        (folder / "child.csv").write_text(f"child,session,limb\n{child},0001,left\n")
        (folder / "visits_0001_0002.html").write_text(f"<code>{child}-0001_left_1-240</code>")
    erase("0007", yes=True)
    assert {path.parts[1] for path in Path("scores").rglob("*") if path.is_file()} == {"0001"}
    assert len([path for path in Path("scores/0001").rglob("*") if path.is_file()]) == 4


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("a.csv", "patient_id,age\n7,8\n17,7\n", "patient_id,age\n17,7\n"),
        ("a.tsv", "age\tsubject\n8\t0007\n7\t0017\n", "age\tsubject\n7\t0017\n"),
        ("a.csv", '\ufeff"subject","x"\r\n"0007","a\nb"\r\n"0017","7"\r\n', '\ufeff"subject","x"\r\n"0017","7"\r\n'),
        (
            "a.csv",
            "# from a clinic\n\nsubject,part\n7,test\n0017,train\n",
            "# from a clinic\n\nsubject,part\n0017,train\n",
        ),
        ("a.csv", "video,x\n0007-0001_left_1-240,1\n0017-0001_left_1-240,7\n", "video,x\n0017-0001_left_1-240,7\n"),
        (
            "a.json",
            '[{"patient_id": 7, "x": 1}, {"patient_id": "0017", "left": {"7": 2}}]',
            '[\n  {\n    "patient_id": "0017",\n    "left": {\n      "7": 2\n    }\n  }\n]\n',
        ),
        ("a.csv", "Patient_ID;age\n7.0;8\n17;7\n", "Patient_ID;age\n17;7\n"),
        ("a.json", '{"best": {"child": 7, "age": 8}, "worst": "0007", "n": 7}', '{\n  "n": 7\n}\n'),
        ("a.json", '{"0007": {"age": 8}, "files": ["dataset/0007/x.mp4", "y"]}', '{\n  "files": [\n    "y"\n  ]\n}\n'),
    ],
)
def test_a_childs_rows_leave_a_table_and_no_others(tmp_path, name, before, after):
    path = tmp_path / name
    path.write_bytes(before.encode())
    strip_table(path, "0007")
    assert path.read_bytes() == after.encode()


def test_checkpoints_lie_where_erasure_looks():
    from childgait.steps.finetune import finetune

    assert inspect.signature(finetune).parameters["checkpoint"].default == CHECKPOINTS


@pytest.mark.parametrize("place", [3, 17, 24])
def test_an_interrupted_erasure_is_taken_up_again(clone, monkeypatch, capsys, place):
    """Killed before the third removal (or a later one) in the working tree: the command run again finishes the rest."""
    import childgait.lineage.erasure as erasure

    seen = []

    def remove(path):
        seen.append(path)
        if len(seen) == place:
            raise KeyboardInterrupt
        real(path)

    with monkeypatch.context() as patch:
        real = erasure.remove
        patch.setattr(erasure, "remove", remove)
        with pytest.raises(KeyboardInterrupt):
            erase("0007", yes=True, remote=True)
    assert is_erased("0007")
    assert erase("0007", yes=True, remote=True) == 0
    assert not any(b"older take" in p.read_bytes() for p in Path(".dvc").rglob("*") if p.is_file())


def test_an_erasure_interrupted_while_dvc_notes_it_is_taken_up_again(clone, monkeypatch):
    import childgait.lineage.erasure as erasure

    def killed(command, **options):
        if "dvc" in command:
            raise KeyboardInterrupt
        return subprocess.CompletedProcess(command, 0, "", "")

    with monkeypatch.context() as patch:
        patch.setattr(erasure.subprocess, "run", killed)
        with pytest.raises(KeyboardInterrupt):
            erase("0007", yes=True)
    assert not list(Path("data/raw").rglob("0007*"))
    assert list(Path("data/register").glob("0007-*.record.json")), (
        "by these the next call finds the child, whatever the cache"
    )
    assert erase("0007", yes=True) == 0
    dvc("status", "-q", "data/raw.dvc")


def write_child_page(clips: list[Input], page: Output, numbers: Output) -> None:
    for path in (page, numbers):
        path.write_text("of " + ", ".join(clip.name for clip in clips))


def write_index(children: list[Input], index: Output) -> None:
    index.write_text("".join(child.read_text() for child in children))


def test_a_childs_page_goes_with_it_and_the_index_too(tmp_path, monkeypatch):
    (tmp_path / "study").mkdir()
    environment(monkeypatch, tmp_path / "study")
    toy_study.run_toy_study(["0001", "0007"], seed=1)
    folder = Path("reports/children")
    for child in ("0001", "0007"):
        values = {"page": folder / f"{child}.html", "numbers": folder / f"{child}.json"}
        clips = sorted(Path("data/prepare_clips").glob(f"{child}-*.clip.json"))
        run_step(write_child_page, {"clips": clips, **values}, None, folder / f"{child}.record.json")
    values = {"children": sorted(folder.glob("000?.json")), "index": Path("reports/index.html")}
    run_step(write_index, values, None, Path("reports/write_index.record.json"))
    erase("0007", yes=True)
    assert sorted(path.name for path in folder.iterdir()) == ["0001.html", "0001.json", "0001.record.json"]
    assert not Path("reports/index.html").exists()
