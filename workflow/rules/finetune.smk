# A network learns. One job a model, fold and seed, of one process or of several (finetune.processes), each on its own GPU.
# Requires: the train and validation tables of data/split_subjects and the clips of their children; never a test table. A model
# with a mean teacher also gets the clips of children in no part of any fold, and the list that says so.
# Yields: data/finetune/{model}/{fold}-{seed}/


include: "common.smk"
include: "parts.smk"


def processes(wildcards):
    """How many train together; a table model is fitted by one."""
    return settings_for(wildcards).processes if MODELS[wildcards.model].kind == "network" else 1


def cpus(wildcards):
    settings = settings_for(wildcards)
    return processes(wildcards) * (settings.threads + settings.workers)


rule finetune:
    input:
        train="data/split_subjects/{fold}.train.parquet",
        validation="data/split_subjects/{fold}.validation.parquet",
        clips=clips_of("train", "validation"),
        unlabelled=unlabelled,
        assignment=assignment_of_pool,
        code=code("finetune"),
    output:
        multiext(
            "data/finetune/{model}/{fold}-{seed}/",
            weights="weights.safetensors",
            model="model.json",
            history="history.csv",
            record="finetune.record.json",
        ),
    log:
        "logs/finetune/{model}/{fold}-{seed}.log",
    cache: True
    threads: cpus
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt * processes(wildcards),
        runtime=minutes(240),
        gpu=lambda wildcards: processes(wildcards) * on_gpu(wildcards.model),
        processes=processes,
        nodes=1,  # a profile may spread the processes over more
    params:
        cfg=training_params,
        call=flags("finetune", model_name="{model}", fold="{fold}", seed="{seed}"),
    shell:
        "workflow/launch {resources.processes} {resources.nodes} childgait finetune {params.call} > {log} 2>&1"


rule finetune_all:
    input:
        expand(rules.finetune.output, zip, **runs()),
