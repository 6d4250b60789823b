# Checks of the finished study, the lineage of every number, the report, and the bundle that scores new children.
# Requires: data/evaluate, data/build_labels, data/split_subjects, data/gate, and every record.
# Yields: data/check_study, data/bundle, data/draw_examples, reports/

from childgait.models.registry import ABLATION, FRAMES
from childgait.report import FIGURES, TABLES
from childgait.report.stale_pages import remove_stale_pages


include: "common.smk"
include: "parts.smk"
include: "comparisons.smk"


if not list_scored_children():  # DVC needs the folder of every output in dvc.yaml
    Path("reports/children").mkdir(parents=True, exist_ok=True)

if not list_example_pictures():
    Path("data/draw_examples").mkdir(parents=True, exist_ok=True)


rule check_study:
    input:
        gates=expand("data/gate/{gated}.parquet", gated=list(GATED)),
        labels="data/build_labels/labels.parquet",
        assignment="data/split_subjects/subjects.csv",
        parts=expand("data/split_subjects/{fold}.{part}.parquet", fold=SPLITS, part=PARTS),
        models=list_trainings("model.json"),
        predictions=list_evaluations("predictions.parquet"),
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


rule bundle:
    input:
        weights=list_model_runs("finetune", "weights.safetensors"),
        models=list_model_runs("finetune", "model.json"),
        metrics=list_model_runs("evaluate", "metrics.json"),
        predictions=list_model_runs("evaluate", "predictions.parquet"),
        clips=expand("data/prepare_clips/{video}.clip.json", video=VIDEOS),
        labels="data/build_labels/labels.parquet",
        settings="params.yaml",
        code=code("bundle"),
    output:
        description="data/bundle/bundle.json",
        weights_out="data/bundle/weights.safetensors",
        record="data/bundle/bundle.record.json",
    log:
        "logs/bundle.log",
    resources:
        mem_mb=memory(2000),
        runtime=minutes(15),
    params:
        call=flags("bundle"),
    shell:
        "childgait bundle {params.call} > {log} 2>&1"


rule write_child_page:
    input:
        files=list_files_of_child,
        predictions=list_model_runs("evaluate", "predictions.parquet"),
        subjects="data/build_labels/subjects.parquet",
        description="data/bundle/bundle.json",
        weights="data/bundle/weights.safetensors",
        code=code("write_child_page"),
    output:
        page="reports/children/{subject}.html",
        numbers="reports/children/{subject}.json",
        table="reports/children/{subject}.csv",
        record="reports/children/{subject}.record.json",
    log:
        "logs/write_child_page/{subject}.log",
    resources:
        mem_mb=memory(1500),
        runtime=minutes(10),
    params:
        call=flags("write_child_page", subject="{subject}"),
    shell:
        "childgait write_child_page {params.call} > {log} 2>&1"


rule draw_examples:
    input:
        clips=list_example_files("prepare_clips", ".clip.json"),
        videos=list_example_files("deidentify", ".mp4"),
        masks=list_example_files("segment", ".masks"),
        poses=list_example_files("refine_pose", ".poses.parquet"),
        weights=list_model_runs("finetune", "weights.safetensors")[0],
        model=list_model_runs("finetune", "model.json")[0],
        code=code("draw_examples"),
    output:
        covered="data/draw_examples/covered.jpg",
        received="data/draw_examples/received.jpg",
        evidence="data/draw_examples/evidence.jpg",
        record="data/draw_examples/draw_examples.record.json",
    log:
        "logs/draw_examples.log",
    resources:
        mem_mb=memory(3000),
        runtime=minutes(10),
    params:
        call=flags("draw_examples"),
    shell:
        "childgait draw_examples {params.call} > {log} 2>&1"


rule write_report:
    input:
        predictions=list_evaluations("predictions.parquet"),
        histories=list_trainings("history.csv"),
        metrics=list_evaluations("metrics.json"),
        labels="data/build_labels/labels.parquet",
        subjects="data/build_labels/subjects.parquet",
        agreement="data/build_labels/agreement.json",
        gates=expand("data/gate/{gated}.json", gated=list(GATED)),
        pooled=expand("data/gate/{gated}.parquet", gated=list(GATED)),
        checks="data/check_study/results.json",
        external=f"{ANNOTATIONS}/external.csv",
        vault=f"{ANNOTATIONS}/vault.csv",
        settings="params.yaml",
        pretraining=expand(
            "data/pretrain/{model}/{name}",
            model=PARAMS["pretrain"].models,
            name=("weights.json", "history.csv", "strip.png"),
        ),
        examples=list_example_pictures(),
        children=list_child_pages("json"),
        clips=expand("data/prepare_clips/{video}.clip.json", video=VIDEOS),
        code=code("write_report"),
    output:
        metrics_out="reports/metrics.json",
        headline_out="reports/headline.json",
        page=report("reports/index.html", caption="../report/page.rst", category="Report"),
        tables=[
            report(f"reports/tables/{name}", caption="../report/tables.rst", category="Tables", labels={"table": name})
            for name in TABLES
        ],
        figures=[
            report(
                f"reports/figures/{name}", caption="../report/figures.rst", category="Figures", labels={"figure": name}
            )
            for name in FIGURES
        ],
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
        list_child_pages("record.json"),
        "data/write_submission/write_submission.record.json",  # not read by the report, but part of the lineage
        report="reports/write_report.record.json",
        code=code("trace_lineage"),
    output:
        lineage="reports/lineage.parquet",
        manifest="reports/manifest.csv",
        page=report("reports/lineage.html", caption="../report/lineage.rst", category="Lineage"),
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


use rule write_report as ablation with:  # `snakemake ablation`: prompting and pruning, each on and off
    input:
        **select_report_inputs(ABLATION),
    output:
        **list_report_outputs("ablation"),
    log:
        "logs/write_report/ablation.log",


use rule write_report as frames with:  # `snakemake frames`: windows of 8, 16 and 32 frames
    input:
        **select_report_inputs(FRAMES),
    output:
        **list_report_outputs("frames"),
    log:
        "logs/write_report/frames.log",


use rule write_report as compare_published with:  # the models of bench.models, each fold and seed of the study
    input:
        **select_report_inputs(list_bench_models()),
    output:
        **list_report_outputs("peers"),
    log:
        "logs/write_report/peers.log",


rule bench:  # `snakemake bench`: the same, with training times; no step, because times differ between runs
    input:
        models=rules.compare_published.output.tables[TABLES.index("models.csv")],
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


onstart:  # a child may have left the test and validation parts since the last run
    if ASSIGNMENT.exists():
        remove_stale_pages(Path("reports/children"), list_scored_children())


onsuccess:  # a lost MLflow costs no result
    shell("childgait log-results > logs/log_results.log 2>&1 || cat logs/log_results.log >&2")


rule report_all:
    input:
        rules.bundle.output,
        list_child_pages("html"),
        rules.write_report.output,
        rules.trace_lineage.output,
