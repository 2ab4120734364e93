"""The exit codes of ``hscl``, beside 0; a run that a signal stops ends with 128 + its number."""

FAILED = 1  # hscl doctor found a fault
BAD_INPUT = 2
PARTLY_DONE = 3  # some of the files that were given could not be used
INTERRUPTED = 130
PIPE_CLOSED = 141
