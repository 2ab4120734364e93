"""Sets the folder in which torch keeps compiled code between runs."""

from __future__ import annotations

import hashlib
import os
import platform
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
_FLAGS = ("flags", "Features")  # on x86 and on ARM
_CPU_INFO = Path("/proc/cpuinfo")


def set_inductor_cache_dir() -> Path:
    """Make torch keep compiled code in ``$XDG_CACHE_HOME/hscl_fast``, unless its variable is set; return the folder.

    Each version of torch and each kind of CPU has a folder of its own: torch may load code that it compiled for the
    vector instructions of another machine with the same home, which can compute wrong numbers without an error.
    Torch's default is a temporary folder, which parts of torch create when they are imported; call this before.
    Where the home is missing or not writable, the folder is a temporary one of this user.
    """
    if _VARIABLE not in os.environ:
        os.environ[_VARIABLE] = str(_writable_cache() / "hscl_fast" / "inductor" / _kind())
    return Path(os.environ[_VARIABLE])


def _kind() -> str:
    """Return a name for what compiled code depends on, such as ``torch-2.14.1-x86_64-0f3a...``."""
    try:
        torch = version("torch")  # which does not import it
    except PackageNotFoundError:
        torch = "unknown"
    facts = [_instructions(), os.environ.get("ATEN_CPU_CAPABILITY", "").lower()]
    digest = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
    return f"torch-{torch}-{platform.machine()}-{digest}"


def _instructions() -> str:
    """Return the instruction sets of the CPU, as far as the system tells them."""
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    facts = (line.partition(":") for line in lines)
    return next((" ".join(sorted(value.split())) for name, _, value in facts if name.strip() in _FLAGS), "")


def _writable_cache() -> Path:
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # no home at all
        return _temporary()
    nearest = next(folder for folder in (cache, *cache.parents) if folder.exists())
    return cache if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK) else _temporary()


def _temporary() -> Path:
    return Path(tempfile.gettempdir()) / f"hscl_fast-{os.getuid()}"
