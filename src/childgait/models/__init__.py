"""What a network is. Knows tensors, not paths; imports neither the workflow nor the trackers."""
