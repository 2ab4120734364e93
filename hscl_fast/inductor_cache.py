"""Sets the folder in which torch keeps compiled code between runs."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"


def set_inductor_cache_dir() -> Path:
    """Make torch keep compiled code in ``$XDG_CACHE_HOME/hscl_fast``, unless its variable is set; return the folder.

    Torch's default is a temporary folder, which parts of torch create when they are imported; call this before.
    Where the home is missing or not writable, the folder is a temporary one of this user.
    """
    if _VARIABLE not in os.environ:
        os.environ[_VARIABLE] = str(_writable_cache() / "hscl_fast" / "inductor")
    return Path(os.environ[_VARIABLE])


def _writable_cache() -> Path:
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # no home at all
        return _temporary()
    nearest = next(folder for folder in (cache, *cache.parents) if folder.exists())
    return cache if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK) else _temporary()


def _temporary() -> Path:
    return Path(tempfile.gettempdir()) / f"hscl_fast-{os.getuid()}"
