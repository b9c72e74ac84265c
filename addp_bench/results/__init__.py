"""Which differences are real, and the tables that say so: from records alone."""
