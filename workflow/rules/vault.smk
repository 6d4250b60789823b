# Evaluation on the sealed children. Run by `snakemake vault` only, with a git tag in open_vault.tag; no stage of DVC.
# Requires: data/finetune, the vault and the validation tables, their clips. Yields: data/open_vault/{tag}/{model}/{fold}-{seed}/;
# each opening is added to annotations/vault.csv, which the report shows.


include: "common.smk"
include: "parts.smk"


wildcard_constraints:
    tag=r"[A-Za-z0-9][A-Za-z0-9._-]*",


rule open_vault:
    input:
        weights="data/finetune/{model}/{fold}-{seed}/weights.safetensors",
        model="data/finetune/{model}/{fold}-{seed}/model.json",
        validation="data/split_subjects/{fold}.validation.parquet",
        vault="data/split_subjects/vault.parquet",
        clips=find_vault_clips,
        settings="params.yaml",
        code=code("open_vault"),
    output:
        predictions="data/open_vault/{tag}/{model}/{fold}-{seed}/predictions.parquet",
        metrics="data/open_vault/{tag}/{model}/{fold}-{seed}/metrics.json",
        opening="data/open_vault/{tag}/{model}/{fold}-{seed}/opening.json",
        record="data/open_vault/{tag}/{model}/{fold}-{seed}/open_vault.record.json",
    log:
        "logs/open_vault/{tag}/{model}/{fold}-{seed}.log",
    threads: config["finetune"]["threads"]
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
        gpu=lambda wildcards: int(needs_gpu(wildcards.model)),
    params:
        cfg=config["open_vault"],
        call=flags(
            "open_vault",
            model_name="{model}",
            fold="{fold}",
            seed="{seed}",
            register=f"{ANNOTATIONS}/vault.csv",
        ),
    shell:
        "childgait open_vault {params.call} > {log} 2>&1"


rule vault:  # `snakemake vault`: every run of params.yaml; the same names as the test's evaluation
    input:
        list_openings,
