"""The field's own facts: items, skeleton layouts, file names, pose arrays. No input or output, no other import of the package."""
