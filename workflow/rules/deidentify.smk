# De-identification: the same videos with every head covered, and the evidence. The last stage that reads raw data.
# Requires: the raw cohort, data/register. Yields: data/deidentify/{video}.*, data/gate/deidentify.*

from childgait.preflight.params import check_unseen_policy


include: "common.smk"
include: "raw.smk"


as_workflow_error(check_unseen_policy, COHORT, PARAMS["deidentify"])
USES_SAM3 = "sam3" in PARAMS["deidentify"].backends


rule deidentify:
    input:
        video=find_raw("video"),
        poses=find_raw("poses"),
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
        mem_mb=memory(16000 if USES_SAM3 else 2500),
        runtime=minutes(with_runtime(USES_SAM3, PARAMS["deidentify"].sam3_device, 15)),
        gpu=int(USES_SAM3 and PARAMS["deidentify"].sam3_device == "cuda"),
    params:
        cfg=[config["deidentify"], config["cohort"]["pose_layout"]],
        call=flags("deidentify", name="{video}"),
    shell:
        "childgait deidentify {params.call} > {log} 2>&1"


include: "gate.smk"  # after the rules whose outputs it checks


rule deidentify_all:
    input:
        expand(rules.deidentify.output, video=VIDEOS),
        list_gate_outputs("deidentify"),
