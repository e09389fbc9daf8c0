"""Where autocron joins with what others made; the only place that imports any of it."""
