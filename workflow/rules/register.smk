# The list of recordings: one row per video, with every irregularity.
# Requires: the raw cohort. Yields: data/register/{video}.json, data/gate/register.*


include: "common.smk"
include: "raw.smk"


rule register:
    input:
        video=find_raw("video"),
        poses=find_raw("poses"),
        code=code("register"),
    output:
        multiext("data/register/{video}", facts=".json", record=".record.json"),
    log:
        "logs/register/{video}.log",
    cache: True
    resources:
        mem_mb=memory(800),
        runtime=minutes(5),
    params:
        cfg=[config["register"], config["cohort"]["pose_layout"]],
        call=flags("register", name="{video}", layout=PARAMS["cohort"].pose_layout),
    shell:
        "childgait register {params.call} > {log} 2>&1"


include: "gate.smk"  # after the rules whose outputs it checks


rule register_all:
    input:
        expand(rules.register.output, video=VIDEOS),
        list_gate_outputs("register"),
