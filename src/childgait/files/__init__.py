"""What is on disk: video, masks, poses, tables, hashes, atomic writes."""
