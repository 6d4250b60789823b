"""How a network learns: clips, augmentation, loop, optimizer, metrics. Knows tensors and files, not the workflow."""
