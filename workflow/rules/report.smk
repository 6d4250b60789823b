# What a reader opens: the promises kept, every number traced, the report.
# Requires: data/evaluate, data/build_labels, data/split_subjects, data/gate, and every record. Yields: data/check_study, reports/

from childgait.models.registry import ABLATION, BASELINES, FRAMES, KEYPOINTS, MODELS
from childgait.report import FIGURES, TABLES


include: "common.smk"
include: "parts.smk"


def evaluated(ending, models=None):
    return expand("data/evaluate/{model}/{fold}-{seed}/" + ending, zip, **runs(models))


def finetuned(ending, models=None):
    return expand("data/finetune/{model}/{fold}-{seed}/" + ending, zip, **runs(models))


GATES = ("register", "deidentify", "refine_pose", "prepare_clips", "build_labels", "split_subjects")


rule check_study:
    input:
        gates=expand("data/gate/{gated}.parquet", gated=GATES),
        labels="data/build_labels/labels.parquet",
        assignment="data/split_subjects/subjects.csv",
        parts=expand("data/split_subjects/{fold}.{part}.parquet", fold=SPLITS, part=PARTS),
        models=finetuned("model.json"),
        predictions=evaluated("predictions.parquet"),
        code=code("check_study"),
    output:
        results="data/check_study/results.json",
        record="data/check_study/check_study.record.json",
    log:
        "logs/check_study.log",
    resources:
        mem_mb=memory(2000),
        runtime=minutes(10),
    params:
        call=flags("check_study"),
    shell:
        "childgait check_study {params.call} > {log} 2>&1"


rule write_report:
    input:
        predictions=evaluated("predictions.parquet"),
        histories=finetuned("history.csv"),
        metrics=evaluated("metrics.json"),
        labels="data/build_labels/labels.parquet",
        subjects="data/build_labels/subjects.parquet",
        agreement="data/build_labels/agreement.json",
        gates=expand("data/gate/{gated}.json", gated=GATES),
        pooled=expand("data/gate/{gated}.parquet", gated=GATES),
        checks="data/check_study/results.json",
        settings="params.yaml",
        code=code("write_report"),
    output:
        metrics_out="reports/metrics.json",
        page="reports/index.html",
        tables=expand("reports/tables/{name}", name=TABLES),
        figures=expand("reports/figures/{name}", name=FIGURES),
        record="reports/write_report.record.json",
    log:
        "logs/write_report.log",
    resources:
        mem_mb=memory(2000),
        runtime=minutes(15),
    params:
        call=flags("write_report"),
    shell:
        "childgait write_report {params.call} > {log} 2>&1"


rule trace_lineage:
    input:
        "data/write_submission/write_submission.record.json",  # no part of the report, but of the lineage
        report="reports/write_report.record.json",
        code=code("trace_lineage"),
    output:
        lineage="reports/lineage.parquet",
        manifest="reports/manifest.csv",
        page="reports/lineage.html",
        crate="reports/ro-crate-metadata.json",
        record="reports/trace_lineage.record.json",
    log:
        "logs/trace_lineage.log",
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        call=flags("trace_lineage"),
    shell:
        "childgait trace_lineage {params.call} > {log} 2>&1"


def compared(models):
    """The report's inputs for another set of models, judged on the same splits by the same code."""
    return {
        **{
            name: paths
            for name, paths in rules.write_report.input.items()
            if name not in ("predictions", "histories", "metrics")
        },
        "predictions": evaluated("predictions.parquet", models),
        "histories": finetuned("history.csv", models),
        "metrics": evaluated("metrics.json", models),
    }


def beside(name):
    """Where such a report is written."""
    return {
        "metrics_out": f"reports/{name}/metrics.json",
        "page": f"reports/{name}/index.html",
        "tables": expand(f"reports/{name}/tables/{{table}}", table=TABLES),
        "figures": expand(f"reports/{name}/figures/{{figure}}", figure=FIGURES),
        "record": f"reports/{name}/write_report.record.json",
    }


use rule write_report as ablation with:  # `snakemake ablation`: prompting and pruning, each on and off
    input:
        **compared(ABLATION),
    output:
        **beside("ablation"),
    log:
        "logs/write_report/ablation.log",


use rule write_report as frames with:  # `snakemake frames`: windows of 8, 16 and 32 frames
    input:
        **compared(FRAMES),
    output:
        **beside("frames"),
    log:
        "logs/write_report/frames.log",


def rows_of_bench():
    """Every row of the registry that this cohort's inputs allow."""
    without_video = {*KEYPOINTS, *(name for name, model in MODELS.items() if model.kind == "table")}
    return [name for name in MODELS if name not in BASELINES and (HAS_VIDEO or name in without_video)]


use rule write_report as peers with:  # all rows, each fold and seed of the study
    input:
        **compared(rows_of_bench()),
    output:
        **beside("peers"),
    log:
        "logs/write_report/peers.log",


rule bench:  # `snakemake bench`: the same, with the time that training took; no step, for that is another at each run
    input:
        models=rules.peers.output.tables[TABLES.index("models.csv")],
        program="bench/peers.py",
    output:
        "reports/peers/peers.md",
    log:
        "logs/bench.log",
    resources:
        mem_mb=memory(1000),
        runtime=minutes(5),
    shell:
        "python {input.program} --tables {input.models} --out {output} > {log} 2>&1"


rule report_all:
    input:
        rules.write_report.output,
        rules.trace_lineage.output,
