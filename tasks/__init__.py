"""Tasks: what is judged, on which data, by which metrics."""
