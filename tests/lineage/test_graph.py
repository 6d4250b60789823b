"""The graph of a study: back to raw files, forward to figures, and which children are where."""

import json
from pathlib import Path

import pytest

from childgait.errors import StepError
from childgait.lineage.graph import job_of, read_graph
from childgait.lineage.subjects import names_subject, subject_of
from support import toy_study


@pytest.fixture(autouse=True)
def _study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    toy_study.run_toy_study(["0001", "0002", "0007"], seed=1)  # 0002 is the test child


@pytest.mark.parametrize(
    ("path", "child"),
    [
        ("data/raw/dataset/0007/0007-0001_left_1-240.mp4", "0007"),
        ("data/register/0012-0003_backward_1-240.json", "0012"),
        ("data/draw_sheets/0007.heads.jpg", "0007"),
        ("/mnt/2026/gait/dataset/0003/0003-0001_left_1-9.mp4", "0003"),
        ("data/finetune/videomae/0-0/weights.safetensors", None),
        ("data/split_subjects/0.train.parquet", None),
        ("reports/metrics.json", None),
    ],
)
def test_whose_file_it_is(path, child):
    assert subject_of(path) == child


def test_a_number_leads_back_to_every_raw_file():
    trace = read_graph(Path()).back("reports/metrics.json")
    assert trace.files.keys() == {str(p) for p in Path("data/raw").rglob("*") if p.is_file()}
    assert len(trace.jobs) == 17
    steps = [job.step for job in trace.jobs]
    assert steps[-1] == "write_report"
    assert max(i for i, s in enumerate(steps) if s == "register") < steps.index("gate") < steps.index("split_subjects")


def test_the_way_back_of_a_clip_is_its_own_video_only():
    trace = read_graph(Path()).back("data/prepare_clips/0007-0001_left_1-240.clip.json")
    assert list(trace.files) == ["data/raw/dataset/0007/0007-0001_left_1-240.mp4"]
    assert [job.step for job in trace.jobs] == ["register", "prepare_clips"]


def test_a_raw_file_leads_forward_to_the_figure():
    trace = read_graph(Path()).forward(["data/raw/dataset/0007/0007-0001_left_1-240.mp4"])
    assert {"reports/figure.png", "data/finetune/toy/0-0/weights.bin"} <= trace.files.keys()
    assert not any("0001-0001" in path for path in trace.files)


def test_who_is_in_what():
    graph = read_graph(Path())
    weights, figure = "data/finetune/toy/0-0/weights.bin", "reports/figure.png"
    trained, tested = graph.files_of_child("0007", Path()), graph.files_of_child("0002", Path())
    assert trained["data/split_subjects/0.train.csv"] == "table"
    assert trained[weights] == trained[figure] == "pooled"
    assert "data/split_subjects/0.test.csv" not in trained
    assert weights not in tested  # the network never saw the test child
    assert tested["data/evaluate/toy/0-0/predictions.csv"] == "table"
    assert tested["data/raw/labels.json"] == "table"
    assert trained["data/prepare_clips/0007-0001_left_1-240.record.json"] == "own"
    assert not any("0001-0001" in path for path in trained)


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        (".json", '[{"patient_id": "0007"}]'),
        (".json", '[{"patient_id": 7}]'),
        (".json", '{"0007": {"left": 1}}'),
        (".json", '["0007-0001_left_1-240"]'),
        (".csv", "patient_id,age\n7,8\n"),
        (".csv", "age,subject\n8,0007\n"),
        (".csv", "video,x\n0007-0001_left_1-240,1\n"),
        (".csv", "# a remark\nsubject,part\n0007,test\n"),
    ],
)
def test_a_text_that_names_a_child(ending, text):
    assert names_subject(text, "0007", ending)


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        (".json", '[{"patient_id": "0071", "left": {"7": 0}, "seconds": 0.0007, "sha256": "a0007b"}]'),
        (".csv", "patient_id,age\n0001,7\n17,0007\n"),
    ],
)
def test_a_text_that_does_not(ending, text):
    assert not names_subject(text, "0007", ending)


def test_five_digits_are_another_child():
    assert names_subject('[{"patient_id": 10007}]', "10007", ".json")
    assert not names_subject('[{"patient_id": 7}, {"patient_id": "0007"}]', "00007", ".json")


def test_a_job_that_read_older_bytes_breaks_the_chain():
    path = Path("data/prepare_clips/0001-0001_left_1-240.record.json")
    body = json.loads(path.read_text())
    body["outputs"]["clip"][0]["sha256"] = "0" * 64
    path.write_text(json.dumps(body))
    broken = read_graph(Path()).mismatches()
    assert [(job.step, entry["path"]) for job, entry, _ in broken] == [
        ("finetune", "data/prepare_clips/0001-0001_left_1-240.clip.json")
    ]


def test_two_jobs_that_read_a_raw_file_differently_break_it_too():
    path = Path("data/prepare_clips/0001-0001_left_1-240.record.json")
    body = json.loads(path.read_text())
    body["inputs"]["video"][0]["sha256"] = "0" * 64
    path.write_text(json.dumps(body))
    video = "data/raw/dataset/0001/0001-0001_left_1-240.mp4"
    assert [entry["path"] for _, entry, _ in read_graph(Path()).mismatches()] == [video]


def test_a_folder_read_whole_leads_to_the_jobs_that_filled_it():
    job = {
        "step": "sum",
        "inputs": {"all": [{"path": "data/register", "sha256": "1", "bytes": 1, "files": 6}]},
        "outputs": {"out": [{"path": "reports/sum.csv", "sha256": "2", "bytes": 1}]},
        "values": {},
        "params": {},
        "code": {},
        "environment": {},
    }
    Path("reports/sum.record.json").write_text(json.dumps(job))
    graph = read_graph(Path())
    assert [job.step for job in graph.back("reports/sum.csv").jobs] == ["register"] * 6 + ["sum"]
    assert "reports/sum.csv" in graph.forward(["data/raw/dataset/0007/0007-0001_left_1-240.mp4"]).files


def test_what_is_no_record_is_named():
    whole = Path("data/register/0007-0001_left_1-240.record.json").read_text()
    assert job_of("data/x.record.json", whole).step == "register"
    for text in (
        '{"step": "x"}',
        *(whole.replace(f'"{key}"', '"Key"') for key in ("path", "sha256", "code", "inputs")),
    ):
        with pytest.raises(StepError, match=r"data/x\.record\.json is not a record"):
            job_of("data/x.record.json", text)


def test_no_record_at_all(tmp_path):
    with pytest.raises(StepError, match="there is no record under"):
        read_graph(tmp_path / "elsewhere")
