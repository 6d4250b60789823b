"""Scores, intervals, calibration and agreement, of one run and of a study."""
