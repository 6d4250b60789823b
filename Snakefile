# childgait: from raw videos of walking children to an audited judgement of 34 gait items.
#
# The table of contents. Each file below holds the rules of one DVC stage and opens with what it requires and yields;
# each rule calls the step of the same name in src/childgait/steps/. `dvc repro` is the door for results (`make run`);
# this file is for looking: `make plan`, `snakemake --rulegraph`, and for work on a rule.

WHOLE_STUDY = True  # not one stage alone


include: "workflow/rules/cohort.smk"  # synthesize
include: "workflow/rules/register.smk"  # register
include: "workflow/rules/deidentify.smk"  # deidentify
include: "workflow/rules/perceive.smk"  # segment, estimate_pose, refine_pose, prepare_clips, review
include: "workflow/rules/dataset.smk"  # build_labels, split_subjects
include: "workflow/rules/finetune.smk"  # finetune
include: "workflow/rules/evaluate.smk"  # evaluate, write_submission
include: "workflow/rules/severity.smk"  # by name: severity; no stage of DVC
include: "workflow/rules/report.smk"  # check_study, write_report, trace_lineage; by name: ablation, frames, bench


rule all:
    default_target: True
    input:
        rules.report_all.input,
