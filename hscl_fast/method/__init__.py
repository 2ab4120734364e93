"""The method of the paper, in its order: network, views, objective, scores. Knows no files and no loop."""
