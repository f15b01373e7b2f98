"""The `movierank` command: assembly only, and the one place that may import both halves."""
