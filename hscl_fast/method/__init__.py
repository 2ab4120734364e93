"""The method of the paper, in its order: network, views, objective, scores. Nothing here reads files or runs a loop."""
