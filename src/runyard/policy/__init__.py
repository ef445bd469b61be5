"""What a free slot runs next, as pure functions over snapshots."""
