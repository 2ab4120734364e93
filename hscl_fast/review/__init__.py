"""A page on which a person labels the suspects of a run."""
