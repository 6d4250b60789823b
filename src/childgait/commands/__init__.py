"""What a person types that is no step of the study: checking a cohort, an installation, a lineage."""
