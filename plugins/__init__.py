"""Built-in plugins: each file registers what it defines, through its entry point."""
