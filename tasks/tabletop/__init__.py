"""The built-in world: procedural scenes, what is said of them, and exact truth."""
