# Four levels of motor severity, where the cohort's subjects.csv has them. Run by `snakemake severity` only; no stage of DVC.
# Requires: data/finetune, data/split_subjects and the clips of their children, data/build_labels.
# Yields: data/grade_severity/{model}/{fold}-{seed}/, reports/severity/severity.md

from childgait.preflight.params import check_severity_models


include: "common.smk"
include: "parts.smk"


as_workflow_error(check_severity_models, PARAMS)


rule grade_severity:
    input:
        weights="data/finetune/{model}/{fold}-{seed}/weights.safetensors",
        model="data/finetune/{model}/{fold}-{seed}/model.json",
        train="data/split_subjects/{fold}.train.parquet",
        validation="data/split_subjects/{fold}.validation.parquet",
        test="data/split_subjects/{fold}.test.parquet",
        subjects="data/build_labels/subjects.parquet",
        clips=find_clips("train", "validation", "test"),
        code=code("grade_severity"),
    output:
        weights_out="data/grade_severity/{model}/{fold}-{seed}/weights.safetensors",
        levels="data/grade_severity/{model}/{fold}-{seed}/levels.csv",
        metrics="data/grade_severity/{model}/{fold}-{seed}/metrics.json",
        record="data/grade_severity/{model}/{fold}-{seed}/grade_severity.record.json",
    log:
        "logs/grade_severity/{model}/{fold}-{seed}.log",
    threads: config["finetune"]["threads"]
    resources:
        mem_mb=memory(4000),
        runtime=minutes(240),
        gpu=lambda wildcards: int(needs_gpu(wildcards.model)),
    params:
        cfg=config["grade_severity"],
        call=flags("grade_severity", model_name="{model}", fold="{fold}", seed="{seed}"),
    shell:
        "childgait grade_severity {params.call} > {log} 2>&1"


rule severity:  # `snakemake severity`: one table of all runs
    input:
        levels=list_gradings("levels.csv"),
        program="bench/severity.py",
    output:
        "reports/severity/severity.md",
    log:
        "logs/severity.log",
    resources:
        mem_mb=memory(1000),
        runtime=minutes(5),
    shell:
        "python {input.program} --levels {input.levels} --out {output} > {log} 2>&1"
