# A network is trained before it reads any score. One job per model of pretrain.models; by default none.
# Requires: nothing but params with pretrain.source: stream (synthetic walks); with cohort the clips of children in no part of
# any fold, and the list of who is in which part. Yields: data/pretrain/{model}/


include: "common.smk"
include: "parts.smk"


from childgait.params import network_section, section_of_pretraining


rule pretrain:
    input:
        unlabelled=find_pretraining_clips,
        assignment=lambda wildcards: [str(ASSIGNMENT)] if find_pretraining_clips(wildcards) else [],
        code=code("pretrain"),
    output:
        multiext(
            "data/pretrain/{model}/",
            weights="weights.safetensors",
            description="weights.json",
            history="history.csv",
            strip="strip.png",
            record="pretrain.record.json",
        ),
    log:
        "logs/pretrain/{model}.log",
    cache: True
    threads: PARAMS["pretrain"].threads + PARAMS["pretrain"].workers
    resources:
        mem_mb=memory(6000),
        runtime=minutes(240),
        gpu=int(PARAMS["pretrain"].device == "cuda"),
    params:
        cfg=section_of_pretraining(config["pretrain"]),
        network=lambda wildcards: network_section(config["finetune"], wildcards.model),
        crops=config["prepare_clips"],
        refinement=config["refine_pose"],
        call=flags("pretrain", model_name="{model}"),
    shell:
        "childgait pretrain {params.call} > {log} 2>&1"


rule pretrain_all:
    input:
        expand(rules.pretrain.output, model=PARAMS["pretrain"].models),
