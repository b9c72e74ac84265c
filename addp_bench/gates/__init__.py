"""Gates for CI: whether results got worse than those of a committed baseline."""
