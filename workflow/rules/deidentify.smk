# Nobody recognisable: the same videos with every head covered, and the evidence. The last stage that reads raw data.
# Requires: the raw cohort, data/register. Yields: data/deidentify/{video}.*, data/gate/deidentify.*

from childgait.commands.check_params import check_unseen


include: "common.smk"
GATES_OF_STAGE = ("deidentify",)


include: "gate.smk"
include: "raw.smk"


mendable(check_unseen, COHORT, PARAMS["deidentify"])


rule deidentify:
    input:
        video=raw("video"),
        poses=raw("poses"),
        register="data/register/{video}.json",
        regions=mentioned("regions"),
        cleared=mentioned("cleared"),
        code=code("deidentify"),
    output:
        multiext(
            "data/deidentify/{video}",
            **({"covered": ".mp4", "regions_found": ".regions.parquet"} if HAS_VIDEO else {}),
            keypoints=".poses.parquet",
            evidence=".evidence.json",
            record=".record.json",
        ),
    params:
        cfg=[config["deidentify"], config["cohort"]["pose_layout"]],
        call=flags("deidentify", name="{video}"),
    log:
        "logs/deidentify/{video}.log",
    cache: True
    resources:
        mem_mb=memory(2500),
        runtime=minutes(15),
    shell:
        "childgait deidentify {params.call} > {log} 2>&1"


rule deidentify_all:
    input:
        expand(rules.deidentify.output, video=VIDEOS),
        gated("deidentify"),
