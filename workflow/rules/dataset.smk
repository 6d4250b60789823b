# Labels and split: 34 items per child, and the children of the train, validation and test parts.
# Requires: labels.json and subjects.csv of the cohort, data/gate/prepare_clips.parquet.
# Yields: data/build_labels, data/split_subjects, data/gate/build_labels.*, data/gate/split_subjects.*


include: "common.smk"


rule build_labels:
    input:
        labels=f"{COHORT}/labels.json",
        subjects=f"{COHORT}/subjects.csv",
        clips="data/gate/prepare_clips.parquet",
        code=code("build_labels"),
    output:
        labels_out="data/build_labels/labels.parquet",
        totals="data/build_labels/totals.parquet",
        subjects_out="data/build_labels/subjects.parquet",
        agreement="data/build_labels/agreement.json",
        record="data/build_labels/build_labels.record.json",
    log:
        "logs/build_labels.log",
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        cfg=config["build_labels"],
        call=flags("build_labels"),
    shell:
        "childgait build_labels {params.call} > {log} 2>&1"


rule split_subjects:
    input:
        labels="data/build_labels/labels.parquet",
        subjects="data/build_labels/subjects.parquet",
        clips="data/gate/prepare_clips.parquet",
        lists=f"{ANNOTATIONS}/split.csv",
        code=code("split_subjects"),
    output:
        assignment="data/split_subjects/subjects.csv",
        parts=expand("data/split_subjects/{fold}.{part}.parquet", fold=SPLITS, part=PARTS),
        vault="data/split_subjects/vault.parquet",
        record="data/split_subjects/split_subjects.record.json",
    log:
        "logs/split_subjects.log",
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        cfg=config["split_subjects"],
        call=flags("split_subjects"),
    shell:
        "childgait split_subjects {params.call} > {log} 2>&1"


include: "gate.smk"  # after the rules whose outputs it checks


rule dataset_all:
    input:
        rules.build_labels.output,
        rules.split_subjects.output,
        list_gate_outputs("build_labels"),
        list_gate_outputs("split_subjects"),
