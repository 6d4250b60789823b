"""Runs a step: command line from its signature, atomic outputs, records, source stamps, MLflow."""
