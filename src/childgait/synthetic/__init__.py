"""The walking child whose gait is known: body, motion, camera, scene, and the cohort it is written as."""
