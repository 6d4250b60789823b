# Data checks ("gates"): what the table of a step must fulfil before a later step reads it. A stage includes this file after
# its rules: the gates of a stage are those of its own steps.
# Requires: the files of the step (one per video or one per cohort), see GATED.
# Yields: data/gate/{gated}.*: the pooled table and the results of its checks.

if "gate" not in {rule.name for rule in workflow.rules}:  # the Snakefile includes this file once per stage

    rule gate:
        input:
            rows=list_files_to_pool,
            code=code("gate"),
        output:
            pooled="data/gate/{gated}.parquet",
            results="data/gate/{gated}.json",
            record="data/gate/{gated}.record.json",
        log:
            "logs/gate/{gated}.log",
        wildcard_constraints:  # a stage runs its own gates and no upstream ones
            gated="|".join(list_gates_of_stage()),
        resources:
            mem_mb=memory(1500),
            runtime=minutes(10),
        params:
            cfg=config["gate"],
            call=flags("gate", step="{gated}", docs="logs/gate/{gated}"),
        shell:
            "childgait gate {params.call} > {log} 2>&1"
