# A network learns. One job a model, fold and seed; on a cluster, on a GPU node.
# Requires: the train and validation tables of data/split_subjects and the clips of their children; never a test table.
# Yields: data/finetune/{model}/{fold}-{seed}/

include: "common.smk"
include: "parts.smk"


rule finetune:
    input:
        train="data/split_subjects/{fold}.train.parquet",
        validation="data/split_subjects/{fold}.validation.parquet",
        clips=clips_of("train", "validation"),
        code=code("finetune"),
    output:
        multiext(
            "data/finetune/{model}/{fold}-{seed}/",
            weights="weights.safetensors",
            model="model.json",
            history="history.csv",
            record="finetune.record.json",
        ),
    params:
        cfg=training_params,
        call=flags("finetune", model_name="{model}", fold="{fold}", seed="{seed}"),
    log:
        "logs/finetune/{model}/{fold}-{seed}.log",
    cache: True
    threads: config["finetune"]["threads"]
    resources:
        mem_mb=memory(4000),
        runtime=minutes(240),
    shell:
        "childgait finetune {params.call} > {log} 2>&1"


rule finetune_all:
    input:
        expand(rules.finetune.output, zip, **runs()),
