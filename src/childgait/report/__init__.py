"""What a reader opens: numbers pooled over runs, the cohort's way through the steps, figures and one page."""

TABLES = ("models.csv", "items.csv", "groups.csv", "flow.csv", "gates.csv")
FIGURES = ("items.png", "models.png", "calibration.png", "learning.png", "cohort.png")
