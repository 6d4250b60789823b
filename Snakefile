# childgait: from raw videos of walking children to an audited assessment of 34 gait items.
#
# Table of contents of the workflow. Each file below holds the rules of one DVC stage and starts with what it requires and
# yields; each rule calls the step of the same name in src/childgait/steps/. Results are made with `dvc repro` (`make run`);
# this file serves `make plan`, `snakemake --rulegraph`, and work on a single rule. `snakemake --lint` has no findings.

WHOLE_STUDY = True  # all stages are included, not one alone


report: "workflow/report/workflow.rst"  # the first page of `snakemake --report`


include: "workflow/rules/cohort.smk"  # synthesize
include: "workflow/rules/register.smk"  # register
include: "workflow/rules/deidentify.smk"  # deidentify
include: "workflow/rules/perceive.smk"  # segment, estimate_pose, refine_pose, prepare_clips, draw_sheets
include: "workflow/rules/dataset.smk"  # build_labels, split_subjects
include: "workflow/rules/pretrain.smk"  # pretrain
include: "workflow/rules/finetune.smk"  # finetune
include: "workflow/rules/evaluate.smk"  # evaluate, write_submission
include: "workflow/rules/tasks.smk"  # `snakemake tasks` only; no stage of DVC
include: "workflow/rules/vault.smk"  # `snakemake vault` only; no stage of DVC
include: "workflow/rules/reidentify.smk"  # `snakemake reidentify` only; no stage of DVC
include: "workflow/rules/report.smk"  # check_study, write_report, trace_lineage; on demand: ablation, frames, bench


rule all:
    default_target: True
    input:
        rules.report_all.input,
