"""Checks before a run is planned: params.yaml against the files around it, and the folder of a cohort."""
