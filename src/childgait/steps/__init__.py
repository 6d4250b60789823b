"""The steps of the study: one file per rule of the workflow, same name. Nothing imports from here."""
