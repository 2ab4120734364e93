"""Says which optional packages are missing."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from hscl_fast.errors import UsageError


def require_installed(packages: Sequence[str], suffix: str) -> None:
    """Raise a :class:`UsageError` unless the packages that writing a kind of file needs are installed."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"An {suffix} file needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed. "
            "Install the extra, `pip install 'hscl-fast[export]'`, or give --out a name that ends with .pt2."
        )
