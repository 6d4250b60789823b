"""Head covers: detect heads (`look`), decide what to cover (`plan`), draw and encode (`draw`), read back (`verify`)."""
