"""Children are dealt once, evenly, and every row knows its split."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from childgait.domain.evgs import CODES, LIMBS, default_views
from childgait.errors import StepError
from childgait.files.labels import LABELS, SUBJECTS
from childgait.files.split import SEALED, VAULT, part_files, read_part, sealed_children
from childgait.params import SplitSubjects
from childgait.steps.split_subjects import split_subjects

PARAMS = SplitSubjects(seed=1, folds=3, holdout=0.25, validation=0.25, phases=1, phase=0, vault=0.0)


def write_cohort(
    folder: Path, children: int = 24, without_clips: int = 0, always_typical: str = "", unscored: int = 0
) -> dict[str, Path]:
    random = np.random.default_rng(0)
    subjects = [f"{n:04d}" for n in range(1, children + 1)]
    views = default_views()
    rows = []
    for subject in subjects:
        for limb in LIMBS:
            for code in CODES:
                score = 0 if code == always_typical else int(random.integers(3))
                if subject in subjects[:unscored]:
                    rows.append(
                        (subject, limb, code, None, None, "no rater scored the child", " ".join(views[code]), None)
                    )
                    continue
                rows.append((subject, limb, code, score, score > 0, None, " ".join(views[code]), None))
    pl.DataFrame(rows, schema=LABELS.schema(), orient="row").write_parquet(folder / "labels.parquet")
    ages = random.integers(3, 17, children)
    people = [(s, float(ages[i]), ("female", "male")[i % 2], "CP", "none", None) for i, s in enumerate(subjects)]
    pl.DataFrame(people, schema=SUBJECTS.schema(), orient="row").write_parquet(folder / "subjects.parquet")
    videos = [(f"{s}-0001_{v}_1-240", s, "0001", v) for s in subjects[without_clips:] for v in ("forward", "left")]
    clips = pl.DataFrame(videos, schema=["video", "subject", "session", "view"], orient="row")
    clips.write_parquet(folder / "clips.parquet")
    return {name: folder / f"{name}.parquet" for name in ("labels", "subjects", "clips")}


def run(folder: Path, params: SplitSubjects = PARAMS, lists: str | None = None, **cohort: object) -> Path:
    inputs = write_cohort(folder, **cohort)
    listed = None
    if lists is not None:
        listed = folder / "lists.csv"
        listed.write_text(lists)
    out = folder / "out"
    out.mkdir(exist_ok=True)
    parts = [out / name for name in part_files(params.folds)]
    vault = out / "vault.parquet"
    split_subjects(**inputs, assignment=out / "subjects.csv", parts=parts, params=params, lists=listed, vault=vault)
    return out


def children(out: Path, fold: str, part: str) -> set[str]:
    return set(read_part(out / f"{fold}.{part}.parquet")["subject"])


def test_a_child_is_in_one_part_and_the_holdout_only_tests(tmp_path: Path) -> None:
    out = run(tmp_path)
    kept = children(out, "holdout", "test")
    assert len(kept) == 6
    tested: list[str] = []
    for fold in ("0", "1", "2"):
        parts = [children(out, fold, part) for part in ("train", "validation", "test")]
        assert sum(len(p) for p in parts) == len(set.union(*parts)) == 18
        assert not set.union(*parts) & kept
        tested += parts[2]
    assert len(tested) == len(set(tested)) == 18  # every other child tests exactly once
    who = pl.read_csv(out / "subjects.csv", infer_schema=False)
    assert not who.select("fold", "subject").is_duplicated().any()
    assert set(who.filter((pl.col("fold") == "0") & (pl.col("part") == "none"))["subject"]) == kept


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_hash(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "c").mkdir()
    one, two = run(tmp_path / "a"), run(tmp_path / "b")
    for path in sorted(one.iterdir()):
        assert path.read_bytes() == (two / path.name).read_bytes()
    other = run(tmp_path / "c", PARAMS.model_copy(update={"seed": 2}))

    def hash_of(out: Path) -> str:
        parts = [read_part(out / f"holdout.{part}.parquet") for part in ("train", "validation", "test")]
        hashes = {row for part in parts for row in part["split_hash"]}
        assert len(hashes) == 1
        return hashes.pop()

    assert hash_of(one) != hash_of(other)


def test_a_score_is_hidden_where_the_view_does_not_show_the_item(tmp_path: Path) -> None:
    part = read_part(run(tmp_path) / "holdout.train.parquet")
    sagittal, coronal = part.filter(pl.col("view") == "left"), part.filter(pl.col("view") == "forward")
    assert sagittal["L.KFX"].null_count() == 0
    assert coronal["L.KFX"].null_count() == coronal.height
    assert sagittal["R.TLT"].null_count() == sagittal.height


def test_children_without_clips_are_in_no_part_with_the_reason(tmp_path: Path) -> None:
    out = run(tmp_path, without_clips=2)
    who = pl.read_csv(out / "subjects.csv", infer_schema=False)
    absent = who.filter(pl.col("subject") == "0001")
    assert set(absent["part"]) == {"none"}
    assert set(absent["reason"]) == {"no clip of the child came through"}


def test_lists_given_by_a_file_fix_the_holdout(tmp_path: Path) -> None:
    out = run(tmp_path, lists="# the challenge's\nsubject,part\n4,test\n5,test\n99,test\n7,train\n")
    assert children(out, "holdout", "test") == {"0004", "0005"}
    assert "0007" in children(out, "holdout", "train")
    assert len(children(out, "holdout", "validation")) > 0
    assert not children(out, "1", "test") & {"0004", "0005"}


def test_a_list_without_rows_fixes_nobody(tmp_path: Path) -> None:
    assert len(children(run(tmp_path, lists="subject,part,reason\n"), "holdout", "test")) == 6


def test_the_challenges_list_can_be_read(tmp_path: Path) -> None:
    published = Path(__file__).parents[2] / "workflow" / "splits" / "cv4chl-track1.csv"
    out = run(tmp_path, lists=published.read_text())
    assert children(out, "holdout", "test") == {"0004", "0005", "0018"}  # of 24 children


def test_listed_test_children_without_scores_judge_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As a challenge has them: they are answered for elsewhere, and the hold-out is dealt from the others."""
    out = run(tmp_path, lists="subject,part\n1,test\n2,test\n", unscored=2)
    held = children(out, "holdout", "test")
    assert len(held) == 5  # of 22 who have scores
    assert not held & {"0001", "0002"}
    who = pl.read_csv(out / "subjects.csv", infer_schema=False).filter(pl.col("subject") == "0001")
    assert set(who["part"]) == {"none"}
    assert set(who["reason"]) == {"the child has no score; the list requests it as test"}
    assert "no test child of" in caplog.text
    partly = run(tmp_path, lists="subject,part\n1,test\n3,test\n4,test\n", unscored=1)
    assert children(partly, "holdout", "test") == {"0003", "0004"}


def test_a_child_whose_clips_show_no_scored_item_is_in_no_part(tmp_path: Path) -> None:
    """Scored from the side alone, filmed from the front alone: the item can be neither trained nor tested."""
    files = write_cohort(tmp_path)
    labels, clips = pl.read_parquet(files["labels"]), pl.read_parquet(files["clips"])
    coronal = pl.col("views").str.contains("forward") & (pl.col("subject") == "0001")
    hidden = {name: pl.when(coronal).then(None).otherwise(pl.col(name)).alias(name) for name in ("score", "atypical")}
    labels.with_columns(**hidden).write_parquet(files["labels"])
    clips.filter((pl.col("subject") != "0001") | (pl.col("view") == "forward")).write_parquet(files["clips"])
    out = tmp_path / "out"
    out.mkdir()
    parts = [out / name for name in part_files(PARAMS.folds)]
    split_subjects(**files, assignment=out / "subjects.csv", parts=parts, params=PARAMS)
    who = pl.read_csv(out / "subjects.csv", infer_schema=False).filter(pl.col("subject") == "0001")
    assert set(who["reason"]) == {"no clip of the child shows an item that is scored"}


def test_a_child_in_two_parts_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="child 0004 is in two parts, test and train"):
        run(tmp_path, lists="subject,part\n4,test\n0004,train\n")


def test_fewer_children_than_folds_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"6 children .*, 5 of them outside .* too few for split_subjects.folds = 6"):
        run(tmp_path, PARAMS.model_copy(update={"folds": 6}), children=6)


def test_a_test_part_without_a_positive_names_the_item(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run(tmp_path, always_typical="HFX")
    assert "fold holdout, test: no atypical child for L.HFX, R.HFX" in caplog.text


def test_output_names_must_fit_the_folds(tmp_path: Path) -> None:
    inputs = write_cohort(tmp_path)
    with pytest.raises(StepError, match="--parts names 1 files"):
        split_subjects(**inputs, assignment=tmp_path / "w.csv", parts=[tmp_path / "0.train"], params=PARAMS)


def test_phases_take_turns_as_the_test_and_the_vault_stays_the_same(tmp_path: Path) -> None:
    """Four phases of 30 children, a fifth sealed: each of the 24 others is tested in exactly one phase."""
    tested, vaults = [], []
    for phase in range(4):
        folder = tmp_path / str(phase)
        folder.mkdir()
        params = PARAMS.model_copy(update={"phases": 4, "phase": phase, "vault": 0.2})
        out = run(folder, params, children=30)
        sealed = pl.read_parquet(out / "vault.parquet")
        vaults.append(set(sealed["subject"]))
        assert sealed["split_hash"].unique().to_list()[0].startswith(VAULT)
        who = pl.read_csv(out / "subjects.csv", infer_schema=False)
        used = set(who.filter(pl.col("part") != "none")["subject"])
        assert not used & vaults[-1]
        assert sealed_children(out / "subjects.csv") == vaults[-1]
        assert set(who.filter(pl.col("reason") == SEALED)["fold"]) == {"0", "1", "2", "holdout"}
        tested.append(children(out, "holdout", "test"))
        assert len(tested[-1]) == 6
        with pytest.raises(StepError, match="is the vault"):
            read_part(out / "vault.parquet")
    assert vaults == [vaults[0]] * 4
    assert len(vaults[0]) == 6
    assert len(set.union(*tested)) == sum(map(len, tested)) == 24
    assert not set.union(*tested) & vaults[0]


def test_a_listed_child_is_never_sealed_and_a_listed_test_takes_no_turns(tmp_path: Path) -> None:
    listed = "subject,part\n" + "".join(f"{n:04d},test\n" for n in range(1, 7))
    out = run(tmp_path, PARAMS.model_copy(update={"vault": 0.25}), lists=listed)
    assert len(sealed_children(out / "subjects.csv")) == 6
    assert not sealed_children(out / "subjects.csv") & {f"{n:04d}" for n in range(1, 7)}
    with pytest.raises(StepError, match=r"phases is 2, but the list of the split names test children"):
        run(tmp_path, PARAMS.model_copy(update={"phases": 2}), lists=listed)


def test_without_a_vault_the_table_is_empty_and_a_phase_must_exist(tmp_path: Path) -> None:
    assert pl.read_parquet(run(tmp_path) / "vault.parquet").is_empty()
    with pytest.raises(ValueError, match="phase must be below phases"):
        SplitSubjects(seed=1, folds=3, holdout=0.25, validation=0.25, phases=2, phase=2, vault=0.0)
