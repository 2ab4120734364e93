"""The error that a user can fix, and the exception by which other ranks end."""


class UsageError(ValueError):
    """Bad input at the boundary: a flag, a file, a data set, a run directory.

    The message is one paragraph that names the bad value, what was expected and how to fix it. The command
    line prints it and exits with code 2; library callers catch it as a :class:`ValueError`.
    """


class FailedElsewhere(Exception):
    """Ends a rank that need not report anything, because another rank reports the :class:`UsageError`."""
