"""Training: one file a task."""
