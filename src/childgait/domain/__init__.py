"""Facts of the field: items, skeleton layouts, file names, pose arrays. No file access."""
