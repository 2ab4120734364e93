"""The errors a user can mend, and how a rank ends that need not tell them."""


class UsageError(ValueError):
    """Bad input at the boundary: a flag, a file, a data set, a run directory.

    The message is one paragraph that names the bad value, what was expected and how to mend it. The command
    line prints it and exits with code 2; library callers catch it as a :class:`ValueError`.
    """


class FailedElsewhere(Exception):
    """Another rank tells the :class:`UsageError` that ends this one too."""
