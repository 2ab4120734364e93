"""What several comparators are built from."""
