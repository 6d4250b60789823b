# The demo cohort: walking children whose gait is known, in the release's own layout.
# Requires: nothing but params. Yields: {cohort.root} with videos, keypoints, labels, subjects, and truth/, which no step reads.
# A real cohort needs no rule: point cohort.root at it, and this stage is not run.


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
    shell:
        "CHILDGAIT_THREADS={threads} childgait synthesize --out {COHORT} --record {output.record} > {log} 2>&1"


rule cohort_all:
    input:
        rules.synthesize.output,
