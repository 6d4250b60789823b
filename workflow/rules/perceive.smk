# Masks, keypoints, their refinement, and the clips that a network reads. One job per video.
# Requires: data/deidentify. Yields: data/segment, data/estimate_pose, data/refine_pose, data/prepare_clips, data/draw_sheets,
# data/gate/refine_pose.*, data/gate/prepare_clips.*


include: "common.smk"


USES_SAM3 = PARAMS["segment"].backend == "sam3"
USES_SAPIENS = PARAMS["estimate_pose"].backend == "sapiens2"


if not HAS_VIDEO:  # DVC needs the folder of every output in dvc.yaml
    for folder in ("data/segment", "data/draw_sheets"):
        Path(folder).mkdir(parents=True, exist_ok=True)


rule segment:
    input:
        video="data/deidentify/{video}.mp4",
        poses="data/deidentify/{video}.poses.parquet",
        regions="data/deidentify/{video}.regions.parquet",
        selections=annotation_for("selections"),
        code=code("segment"),
    output:
        multiext(
            "data/segment/{video}",
            masks=".masks",
            boxes=".frames.parquet",
            summary=".summary.json",
            record=".record.json",
        ),
    log:
        "logs/segment/{video}.log",
    cache: True
    resources:
        mem_mb=memory(16000 if USES_SAM3 else 2000),
        runtime=minutes(with_runtime(USES_SAM3, PARAMS["segment"].sam3_device, 15)),
        gpu=int(USES_SAM3 and PARAMS["segment"].sam3_device == "cuda"),
    params:
        cfg=config["segment"],
        call=flags("segment", name="{video}"),
    shell:
        "childgait segment {params.call} > {log} 2>&1"


rule estimate_pose:
    input:
        poses="data/deidentify/{video}.poses.parquet",
        video=if_video("data/deidentify/{video}.mp4"),
        boxes=if_video("data/segment/{video}.frames.parquet"),
        regions=if_video("data/deidentify/{video}.regions.parquet"),
        masks=if_video("data/segment/{video}.masks"),
        segmented=if_video("data/segment/{video}.summary.json"),
        code=code("estimate_pose"),
    output:
        multiext(
            "data/estimate_pose/{video}",
            poses_out=".poses.parquet",
            summary=".summary.json",
            record=".record.json",
        ),
    log:
        "logs/estimate_pose/{video}.log",
    cache: True
    resources:
        mem_mb=memory(16000 if USES_SAPIENS else 1000),
        runtime=minutes(with_runtime(USES_SAPIENS, PARAMS["estimate_pose"].device, 10)),
        gpu=int(USES_SAPIENS and PARAMS["estimate_pose"].device == "cuda"),
    params:
        cfg=config["estimate_pose"],
        call=flags("estimate_pose", name="{video}"),
    shell:
        "childgait estimate_pose {params.call} > {log} 2>&1"


rule refine_pose:
    input:
        poses="data/estimate_pose/{video}.poses.parquet",
        estimate="data/estimate_pose/{video}.summary.json",
        boxes=if_video("data/segment/{video}.frames.parquet"),
        corrections=annotation_for("corrections"),
        code=code("refine_pose"),
    output:
        multiext(
            "data/refine_pose/{video}",
            poses_out=".poses.parquet",
            angles=".angles.parquet",
            events=".events.parquet",
            summary=".summary.json",
            record=".record.json",
        ),
    log:
        "logs/refine_pose/{video}.log",
    cache: True
    resources:
        mem_mb=memory(1000),
        runtime=minutes(5),
    params:
        cfg=config["refine_pose"],
        call=flags("refine_pose", name="{video}"),
    shell:
        "childgait refine_pose {params.call} > {log} 2>&1"


rule prepare_clips:
    input:
        video=if_video("data/deidentify/{video}.mp4"),
        masks=if_video("data/segment/{video}.masks"),
        boxes=if_video("data/segment/{video}.frames.parquet"),
        regions=if_video("data/deidentify/{video}.regions.parquet"),
        poses="data/refine_pose/{video}.poses.parquet",
        events="data/refine_pose/{video}.events.parquet",
        estimate="data/estimate_pose/{video}.summary.json",
        code=code("prepare_clips"),
    output:
        multiext(
            "data/prepare_clips/{video}",
            **({"frames": ".frames.npy", "mask_bits": ".masks.npy"} if HAS_VIDEO else {}),
            points=".points.npy",
            clip=".clip.json",
            record=".record.json",
        ),
    log:
        "logs/prepare_clips/{video}.log",
    cache: True
    resources:
        mem_mb=memory(1500),
        runtime=minutes(10),
    params:
        cfg=config["prepare_clips"],
        call=flags("prepare_clips", name="{video}"),
    shell:
        "childgait prepare_clips {params.call} > {log} 2>&1"


rule draw_sheets:
    input:
        strips=lambda wildcards: expand("data/deidentify/{video}.heads.jpg", video=select_videos(wildcards.subject)),
        videos=lambda wildcards: expand("data/deidentify/{video}.mp4", video=select_videos(wildcards.subject)),
        masks=lambda wildcards: expand("data/segment/{video}.masks", video=select_videos(wildcards.subject)),
        boxes=lambda wildcards: expand("data/segment/{video}.frames.parquet", video=select_videos(wildcards.subject)),
        clips=lambda wildcards: expand("data/prepare_clips/{video}.clip.json", video=select_videos(wildcards.subject)),
        code=code("draw_sheets"),
    output:
        heads="data/draw_sheets/{subject}.heads.jpg",
        mask_sheet="data/draw_sheets/{subject}.masks.jpg",
        record="data/draw_sheets/{subject}.record.json",
    log:
        "logs/draw_sheets/{subject}.log",
    resources:
        mem_mb=memory(1500),
        runtime=minutes(10),
    params:
        call=flags("draw_sheets"),
    shell:
        "childgait draw_sheets {params.call} > {log} 2>&1"


include: "gate.smk"  # after the rules whose outputs it checks


rule perceive_all:
    input:
        expand(rules.prepare_clips.output, video=VIDEOS),
        expand(rules.draw_sheets.output, subject=SUBJECTS) if HAS_VIDEO else [],
        list_gate_outputs("refine_pose"),
        list_gate_outputs("prepare_clips"),
