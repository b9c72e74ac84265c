"""Super-resolution for addp-bench: a small picture is shown, the large one is drawn."""
