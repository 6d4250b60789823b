# Other tasks than the items, where the cohort's subjects.csv has them. Run by `snakemake tasks` only; no stage of DVC.
# Requires: data/finetune, data/split_subjects and the clips of their children, data/build_labels.
# Yields: data/classify/{task}/{model}/{fold}-{seed}/, data/write_subtypes/ of gait types, reports/tasks/{task}.md

from childgait.domain.tasks import TASKS
from childgait.preflight.params import check_task_models


include: "common.smk"
include: "parts.smk"


as_workflow_error(check_task_models, PARAMS)


wildcard_constraints:
    task="|".join(TASKS),


rule classify:
    input:
        weights="data/finetune/{model}/{fold}-{seed}/weights.safetensors",
        model="data/finetune/{model}/{fold}-{seed}/model.json",
        train="data/split_subjects/{fold}.train.parquet",
        validation="data/split_subjects/{fold}.validation.parquet",
        test="data/split_subjects/{fold}.test.parquet",
        subjects="data/build_labels/subjects.parquet",
        clips=find_clips("train", "validation", "test"),
        code=code("classify"),
    output:
        weights_out="data/classify/{task}/{model}/{fold}-{seed}/weights.safetensors",
        classes="data/classify/{task}/{model}/{fold}-{seed}/classes.csv",
        metrics="data/classify/{task}/{model}/{fold}-{seed}/metrics.json",
        record="data/classify/{task}/{model}/{fold}-{seed}/classify.record.json",
    log:
        "logs/classify/{task}/{model}/{fold}-{seed}.log",
    threads: config["finetune"]["threads"]
    resources:
        mem_mb=memory(4000),
        runtime=minutes(240),
        gpu=lambda wildcards: int(needs_gpu(wildcards.model)),
    params:
        cfg={key: value for key, value in config["classify"].items() if key not in ("tasks", "models")},
        call=flags("classify", task_name="{task}", model_name="{model}", fold="{fold}", seed="{seed}"),
    shell:
        "childgait classify {params.call} > {log} 2>&1"


rule task_table:
    input:
        classes=lambda wildcards: list_classifications("classes.csv", wildcards.task),
        program="bench/tasks.py",
    output:
        "reports/tasks/{task}.md",
    log:
        "logs/tasks/{task}.log",
    resources:
        mem_mb=memory(1000),
        runtime=minutes(5),
    shell:
        "python {input.program} --task {wildcards.task} --classes {input.classes} --out {output} > {log} 2>&1"


rule write_subtypes:
    input:
        weights=list_subtype_runs("data/classify/gait_type/{model}/{fold}-{seed}/weights.safetensors"),
        models=list_subtype_runs("data/finetune/{model}/{fold}-{seed}/model.json"),
        clips=expand("data/prepare_clips/{video}.clip.json", video=VIDEOS),
        lists=f"{ANNOTATIONS}/split.csv",
        assignment="data/split_subjects/subjects.csv",
        code=code("write_subtypes"),
    output:
        submission="data/write_subtypes/subtypes.csv",
        record="data/write_subtypes/write_subtypes.record.json",
    log:
        "logs/write_subtypes.log",
    threads: config["finetune"]["threads"]
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
        gpu=int(needs_gpu(PARAMS["classify"].models[0])),
    params:
        call=flags("write_subtypes", windows_per_video=str(config["classify"]["windows_per_video"])),
    shell:
        "childgait write_subtypes {params.call} > {log} 2>&1"


rule tasks:  # `snakemake tasks`: one table per task, and the challenge's second file
    input:
        expand("reports/tasks/{task}.md", task=PARAMS["classify"].tasks),
        rules.write_subtypes.output if "gait_type" in PARAMS["classify"].tasks else [],
