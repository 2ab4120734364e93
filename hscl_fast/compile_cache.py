"""Where compiled code is kept from run to run."""

from __future__ import annotations

import os
from pathlib import Path

_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"


def keep_cache() -> Path:
    """Name a lasting folder, ``$XDG_CACHE_HOME/hscl_fast``, where torch is told nothing else; return what is named.

    Torch's own choice is a temporary folder, and parts of torch make it when they are imported: call this before.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.setdefault(_VARIABLE, str(home / "hscl_fast" / "inductor")))
