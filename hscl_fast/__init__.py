"""hscl-fast trains image anomaly detectors on contaminated data with one contrastive objective."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hscl_fast.detector import HSCLDetector

__version__ = "0.1.0"
__all__ = ["HSCLDetector", "__version__"]


def __getattr__(name: str) -> Any:
    # Not imported with the package, because it imports torch, which takes seconds.
    if name == "HSCLDetector":
        from hscl_fast.detector import HSCLDetector

        return HSCLDetector
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
