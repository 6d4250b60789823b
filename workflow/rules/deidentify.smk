# Nobody recognisable: the same videos with every head covered, and the evidence. The last stage that reads raw data.
# Requires: the raw cohort, data/register. Yields: data/deidentify/{video}.*, data/gate/deidentify.*

from childgait.preflight.params import check_unseen_policy


include: "common.smk"


GATES_OF_STAGE = ("deidentify",)


include: "gate.smk"
include: "raw.smk"


as_workflow_error(check_unseen_policy, COHORT, PARAMS["deidentify"])
LOOKS_WITH_SAM3 = "sam3" in PARAMS["deidentify"].backends


rule deidentify:
    input:
        video=raw("video"),
        poses=raw("poses"),
        register="data/register/{video}.json",
        regions=annotation_for("regions"),
        cleared=annotation_for("cleared"),
        selections=annotation_for("selections"),
        code=code("deidentify"),
    output:
        multiext(
            "data/deidentify/{video}",
            **({"covered": ".mp4", "regions_found": ".regions.parquet", "heads": ".heads.jpg"} if HAS_VIDEO else {}),
            poses_out=".poses.parquet",
            evidence=".evidence.json",
            record=".record.json",
        ),
    log:
        "logs/deidentify/{video}.log",
    cache: True
    resources:
        mem_mb=memory(16000 if LOOKS_WITH_SAM3 else 2500),
        runtime=minutes(with_runtime(LOOKS_WITH_SAM3, PARAMS["deidentify"].sam3_device, 15)),
        gpu=int(LOOKS_WITH_SAM3 and PARAMS["deidentify"].sam3_device == "cuda"),
    params:
        cfg=[config["deidentify"], config["cohort"]["pose_layout"]],
        call=flags("deidentify", name="{video}"),
    shell:
        "childgait deidentify {params.call} > {log} 2>&1"


rule deidentify_all:
    input:
        expand(rules.deidentify.output, video=VIDEOS),
        gated("deidentify"),
