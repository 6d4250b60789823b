# The gates: what a step's tables must hold before anything is built on them. Included by the stages that have one.
# Requires: the per-video (or per-cohort) tables of the step, and GATES_OF_STAGE, which says whose gates this stage holds.
# Yields: data/gate/{gated}.*: the pooled table and the results.


GATED = {
    "register": "data/register/{video}.json",
    "deidentify": "data/deidentify/{video}.evidence.json",
    "refine_pose": "data/refine_pose/{video}.summary.json",
    "prepare_clips": "data/prepare_clips/{video}.clip.json",
    "build_labels": "data/build_labels/labels.parquet",
    "split_subjects": "data/split_subjects/subjects.csv",
}


def rows(wildcards):
    pattern = GATED[wildcards.gated]
    return expand(pattern, video=VIDEOS) if "{video}" in pattern else [pattern]


def gated(step):
    return expand("data/gate/{gated}{ending}", gated=step, ending=(".parquet", ".json", ".record.json"))


if "gate" not in {rule.name for rule in workflow.rules}:  # the Snakefile meets this file once a stage

    rule gate:
        input:
            rows=rows,
            code=code("gate"),
        output:
            pooled="data/gate/{gated}.parquet",
            results="data/gate/{gated}.json",
            record="data/gate/{gated}.record.json",
        log:
            "logs/gate/{gated}.log",
        wildcard_constraints:  # a stage runs its own gates and no upstream ones
            gated="|".join(GATED if "WHOLE_STUDY" in globals() else GATES_OF_STAGE),
        resources:
            mem_mb=memory(1500),
            runtime=minutes(10),
        params:
            cfg=config["gate"],
            call=flags("gate", step="{gated}", docs="logs/gate/{gated}"),
        shell:
            "childgait gate {params.call} > {log} 2>&1"
