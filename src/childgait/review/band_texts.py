"""What each score of an item means, for a rater: the bands of the Edinburgh Visual Gait Score in short words.

After the EVGS Reference Guide v1.0 (AAOP and Eastern Michigan University, 2019; Read et al. 2003, J Pediatr Orthop
23:296). Angles are in degrees; the score is the same on both sides of the typical band.
"""

from __future__ import annotations

BAND_TEXTS: dict[int, tuple[str, str, str]] = {  # by the item's number: scores 0, 1 and 2
    1: ("heel first", "flat foot (heel and toes together)", "toes first"),
    2: (
        "between the other foot's level and its contact",
        "early: before the other foot passes; or delayed: at or after the other foot's contact",
        "heel never down; or forefoot never down",
    ),
    3: (
        "5 to 25 dorsiflexion",
        "26 to 40 dorsiflexion; or 4 dorsiflexion to 10 plantarflexion",
        "more than 40 dorsiflexion; or more than 10 plantarflexion",
    ),
    4: ("0 to 5 valgus", "6 to 15 valgus; or 1 to 10 varus", "more than 15 valgus; or more than 10 varus"),
    5: (
        "0 to 20 external",
        "21 to 40 external; or 1 to 25 internal",
        "more than 40 external; or more than 25 internal",
    ),
    6: ("full", "reduced; or a high step", "none: the foot drags; or reduced and then a high step"),
    7: (
        "15 dorsiflexion to 5 plantarflexion",
        "16 to 30 dorsiflexion; or 6 to 20 plantarflexion",
        "more than 30 dorsiflexion; or more than 20 plantarflexion",
    ),
    8: ("kneecap in the midline", "turned out or in, whole kneecap visible", "turned out or in, kneecap partly hidden"),
    9: (
        "0 to 15 flexion",
        "16 to 25 flexion; or 1 to 10 hyperextension",
        "more than 25 flexion; or more than 10 hyperextension",
    ),
    10: (
        "5 to 15 flexion",
        "16 to 30 flexion; or 4 flexion to 10 hyperextension",
        "more than 30 flexion; or more than 10 hyperextension",
    ),
    11: ("50 to 70 flexion", "71 to 85 flexion; or 35 to 49 flexion", "more than 85 flexion; or less than 35 flexion"),
    12: (
        "0 to 20 extension",
        "21 to 35 extension; or 1 to 15 flexion",
        "more than 35 extension; or more than 15 flexion",
    ),
    13: ("25 to 45 flexion", "46 to 60 flexion; or 10 to 24 flexion", "more than 60 flexion; or less than 10 flexion"),
    14: ("0 to 5 up on the stance side", "6 to 15 up; or 1 to 10 down", "more than 15 up; or more than 10 down"),
    15: (
        "5 retraction to 10 protraction",
        "11 to 20 protraction; or 6 to 15 retraction",
        "more than 20 protraction; or more than 15 retraction",
    ),
    16: ("within 5 of upright", "6 to 15 forward; or more than 5 backward", "more than 15 forward"),
    17: ("about 25 mm to the stance side", "moderate; or reduced: stays over the swing limb", "marked"),
}
