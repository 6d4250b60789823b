# The inputs and outputs of the report, also for other sets of models. Included by report.
# Requires: what parts.smk requires. Yields: no rule.

from childgait.models.registry import BASELINES, MODELS, needs_video
from childgait.preflight.params import check_bench_models
from childgait.report import FIGURES, TABLES


def list_evaluations(ending, models=None):
    return expand(f"data/evaluate/{{model}}/{{fold}}-{{seed}}/{ending}", zip, **list_runs(models))


def list_trainings(ending, models=None):
    return expand(f"data/finetune/{{model}}/{{fold}}-{{seed}}/{ending}", zip, **list_runs(models))


def select_report_inputs(models):
    """The inputs of a report on another set of models, evaluated on the same splits."""
    return {
        **{
            name: paths
            for name, paths in rules.write_report.input.items()
            if name not in ("predictions", "histories", "metrics")
        },
        "predictions": list_evaluations("predictions.parquet", models),
        "histories": list_trainings("history.csv", models),
        "metrics": list_evaluations("metrics.json", models),
    }


def list_report_outputs(name):
    """The outputs of such a report, in a folder of its own."""
    return {
        "metrics_out": f"reports/{name}/metrics.json",
        "headline_out": f"reports/{name}/headline.json",
        "page": f"reports/{name}/index.html",
        "tables": expand(f"reports/{name}/tables/{{table}}", table=TABLES),
        "figures": expand(f"reports/{name}/figures/{{figure}}", figure=FIGURES),
        "record": f"reports/{name}/write_report.record.json",
    }


def list_bench_models():
    """The models of bench.models; if it is empty, all of the registry whose inputs this cohort has."""
    as_workflow_error(check_bench_models, PARAMS)
    fitting = [name for name in MODELS if name not in BASELINES and (HAS_VIDEO or not needs_video(name))]
    return PARAMS["bench"].models or fitting
