# How well recordings identify children by their gait. Run by `snakemake reidentify` only; no stage of DVC.
# Requires: data/split_subjects of the first fold, and the clips. Yields: reports/reidentify/

from childgait.params import network_section


include: "common.smk"
include: "parts.smk"


rule reidentify:  # `snakemake reidentify`
    input:
        train=f"data/split_subjects/{PARAMS['finetune'].folds[0]}.train.parquet",
        validation=f"data/split_subjects/{PARAMS['finetune'].folds[0]}.validation.parquet",
        test=f"data/split_subjects/{PARAMS['finetune'].folds[0]}.test.parquet",
        clips=expand("data/prepare_clips/{video}.clip.json", video=VIDEOS),
        code=code("reidentify"),
    output:
        multiext(
            "reports/reidentify/",
            audit="reidentify.json",
            page="reidentify.md",
            curve="curve.csv",
            figure="curve.png",
            record="reidentify.record.json",
        ),
    log:
        "logs/reidentify.log",
    threads: config["finetune"]["threads"]
    resources:
        mem_mb=memory(4000),
        runtime=minutes(240),
    params:
        cfg=config["reidentify"],
        network=network_section(config["finetune"], config["reidentify"]["encoder"]),
        weights=lambda wildcards: config["finetune"]["weights"],  # a function: its braces are no wildcards
        call=flags("reidentify"),
    shell:
        "childgait reidentify {params.call} > {log} 2>&1"
