"""The pages that people look at: the report of a run and the comparison of runs, each one self-contained HTML file."""
