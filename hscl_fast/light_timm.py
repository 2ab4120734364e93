"""timm without what it imports and seldom needs: torch's compiler and the client of the hub."""

from hscl_fast.deferred_compiler import defer_compiler
from hscl_fast.deferred_hub import hub_deferred

defer_compiler()
with hub_deferred():
    import timm

__all__ = ["timm"]
