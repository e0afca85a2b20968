"""Pictures of what was used, on disk, without a browser."""
