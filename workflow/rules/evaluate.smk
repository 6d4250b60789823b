# Evaluation of a run on its test children. One job per model, fold and seed.
# Requires: data/finetune, the validation and test tables, their clips; labels, subjects and the manual split.csv.
# Yields: data/evaluate/{model}/{fold}-{seed}/, data/write_submission/


include: "common.smk"
include: "parts.smk"


rule evaluate:
    input:
        weights="data/finetune/{model}/{fold}-{seed}/weights.safetensors",
        model="data/finetune/{model}/{fold}-{seed}/model.json",
        validation="data/split_subjects/{fold}.validation.parquet",
        test="data/split_subjects/{fold}.test.parquet",
        clips=find_clips("validation", "test"),
        code=code("evaluate"),
    output:
        predictions="data/evaluate/{model}/{fold}-{seed}/predictions.parquet",
        metrics="data/evaluate/{model}/{fold}-{seed}/metrics.json",
        record="data/evaluate/{model}/{fold}-{seed}/evaluate.record.json",
    log:
        "logs/evaluate/{model}/{fold}-{seed}.log",
    threads: config["finetune"]["threads"]
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
        gpu=lambda wildcards: int(needs_gpu(wildcards.model)),
    params:
        cfg=config["evaluate"],
        call=flags("evaluate", model_name="{model}", fold="{fold}", seed="{seed}"),
    shell:
        "childgait evaluate {params.call} > {log} 2>&1"


rule write_submission:
    input:
        weights=list_submission_runs("weights.safetensors"),
        models=list_submission_runs("model.json"),
        clips=expand("data/prepare_clips/{video}.clip.json", video=VIDEOS),
        subjects="data/build_labels/subjects.parquet",
        labels="data/build_labels/labels.parquet",
        lists=f"{ANNOTATIONS}/split.csv",
        assignment="data/split_subjects/subjects.csv",
        code=code("write_submission"),
    output:
        submission="data/write_submission/submission.csv",
        record="data/write_submission/write_submission.record.json",
    log:
        "logs/write_submission.log",
    threads: config["finetune"]["threads"]
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
        gpu=lambda wildcards: int(needs_gpu(PARAMS["finetune"].models[0])),
    params:
        call=flags("write_submission", windows_per_video=str(config["evaluate"]["windows_per_video"])),
    shell:
        "childgait write_submission {params.call} > {log} 2>&1"


rule evaluate_all:
    input:
        expand(rules.evaluate.output, zip, **list_runs()),
        rules.write_submission.output,
