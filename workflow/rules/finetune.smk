# Training. One job per model, fold and seed, of one process or of several (finetune.processes), each on its own GPU.
# Requires: the train and validation tables of data/split_subjects and the clips of their children; never a test table. A model
# with a mean teacher also reads the clips of children in no part of any fold, and the list of who is in which part; one that
# is distilled from another model reads that model's run of the same fold and seed.
# Yields: data/finetune/{model}/{fold}-{seed}/


include: "common.smk"
include: "parts.smk"


rule finetune:
    input:
        train="data/split_subjects/{fold}.train.parquet",
        validation="data/split_subjects/{fold}.validation.parquet",
        clips=find_clips("train", "validation"),
        unlabelled=find_unlabelled_clips,
        assignment=find_assignment,
        pretrained=find_pretrained,
        teacher=find_teacher,
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
    threads: count_cpus
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt * count_processes(wildcards),
        runtime=minutes(240),
        gpu=lambda wildcards: count_processes(wildcards) * needs_gpu(wildcards.model),
        processes=count_processes,
        nodes=1,  # a profile may distribute the processes over more
    params:
        cfg=select_training_params,
        call=flags("finetune", model_name="{model}", fold="{fold}", seed="{seed}"),
    shell:
        "workflow/launch {resources.processes} {resources.nodes} childgait finetune {params.call} > {log} 2>&1"


rule finetune_all:
    input:
        expand(rules.finetune.output, zip, **list_runs()),
