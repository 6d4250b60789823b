"""The vocabulary: EVGS items, skeleton layouts, cohort naming, gait events, kinematics."""
