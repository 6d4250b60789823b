# How well a run judges children it has never seen. One job a model, fold and seed.
# Requires: data/finetune, the validation and test tables, their clips. Yields: data/evaluate/{model}/{fold}-{seed}/

include: "common.smk"
include: "parts.smk"


rule evaluate:
    input:
        weights="data/finetune/{model}/{fold}-{seed}/weights.safetensors",
        model="data/finetune/{model}/{fold}-{seed}/model.json",
        validation="data/split_subjects/{fold}.validation.parquet",
        test="data/split_subjects/{fold}.test.parquet",
        clips=clips_of("validation", "test"),
        code=code("evaluate"),
    output:
        predictions="data/evaluate/{model}/{fold}-{seed}/predictions.parquet",
        metrics="data/evaluate/{model}/{fold}-{seed}/metrics.json",
        record="data/evaluate/{model}/{fold}-{seed}/evaluate.record.json",
    params:
        cfg=config["evaluate"],
        call=flags("evaluate", model_name="{model}", fold="{fold}", seed="{seed}"),
    log:
        "logs/evaluate/{model}/{fold}-{seed}.log",
    threads: config["finetune"]["threads"]
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    shell:
        "childgait evaluate {params.call} > {log} 2>&1"


rule evaluate_all:
    input:
        expand(rules.evaluate.output, zip, **runs()),
