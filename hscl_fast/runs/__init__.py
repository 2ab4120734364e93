"""The one road: a configuration goes in, a run directory and a typed summary come out."""
