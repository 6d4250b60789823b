"""What a reader opens: numbers pooled over runs, the cohort's way through the steps, figures and one page."""

TABLES = (
    "models.csv",
    "items.csv",
    "groups.csv",
    "strata.csv",
    "importance.csv",
    "appearance.csv",
    "measured.csv",
    "flow.csv",
    "population.csv",
    "gates.csv",
    "totals.csv",
    "kappa.csv",
    "repeatability.csv",
    "walks.csv",
    "decision.csv",
    "failures.csv",
    "sample_size.csv",
    "external.csv",
)
FIGURES = (
    "items.png",
    "models.png",
    "confusion.png",
    "curves.png",
    "calibration.png",
    "decision.png",
    "learning.png",
    "pretraining.png",
    "cohort.png",
)
