"""Of every worked example its numbers, worked by hand: the tests that `addp-bench new` writes beside it."""
