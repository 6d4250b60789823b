"""Walker selection, refinement of keypoints, gait events, kinematics, scoring, features and norm curves."""
