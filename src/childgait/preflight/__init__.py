"""What stops a run before it plans: checks of params and of a cohort."""
