# The synthetic demo cohort: walking children with known gait, in the release's layout.
# Requires: params.yaml only. Yields: {cohort.root} with videos, keypoints, labels, subjects, and truth/, which no step reads.
# A real cohort needs no rule: set cohort.root to its folder, and this stage is not run.


include: "common.smk"


rule synthesize:
    input:
        code=code("synthesize"),
    output:
        labels=f"{COHORT}/labels.json",
        subjects=f"{COHORT}/subjects.csv",
        cohort=f"{COHORT}/cohort.json",
        record=f"{COHORT}/synthesize.record.json",
    log:
        "logs/synthesize.log",
    threads: 2
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        cfg=config["synthesize"],
        folder=lambda wildcards, output: str(Path(output.labels).parent),
    shell:
        "CHILDGAIT_THREADS={threads} childgait synthesize --out {params.folder:q} --record {output.record:q} > {log} 2>&1"


rule cohort_all:
    input:
        rules.synthesize.output,
