"""Run a step: command line from its signature, atomic outputs, records, hashes of source files, MLflow."""
