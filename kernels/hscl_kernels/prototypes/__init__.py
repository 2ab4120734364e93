"""Max-prototype similarity, the weights it gives and the sample-to-prototype term."""
