"""``runtime``: device, precision and how a run executes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hscl_fast.config.sections.requirements import require, require_counts, require_not_negative, require_positive


@dataclass(frozen=True)
class RuntimeConfig:
    """Device, precision and other settings of how a run executes.

    Parameters
    ----------
    device
        ``auto`` (a GPU if there is one), ``cpu``, ``cuda`` or ``cuda:N``.
    precision
        Precision of the encoder. ``auto``: bfloat16 on a GPU that supports it, else float16; bfloat16 on a CPU with
        AMX, else float32. ``tf32`` is float32 with products that a GPU may round to TF32, also in the loss; with
        ``float32`` it may not.
    threads
        CPU threads of torch, at most the number of cores that this process may use. Unset: torch's default.
    compile
        Compile the whole training step, and scoring, into one graph with ``torch.compile``: ``off``, ``default``,
        ``max-autotune`` or ``reduce-overhead`` (both capture CUDA graphs). ``auto``: ``default`` on a GPU, ``off`` on
        the CPU, where the first step of a compiled run takes a minute or more.
    deterministic
        Use GPU kernels that give the same bits in every run (needed to resume bit for bit).
    seed
        Seed of the initial weights, the order of the images and the views.
    max_skipped_updates
        Stop the run after this many consecutive updates with a non-finite loss or gradient.
    loader
        Loader kind: ``resident`` (all images on the device), ``ffcv`` (reads a ``.beton``, see ``hscl data prepare``),
        ``torch`` (a DataLoader) or ``auto`` (the first of these that can serve the data). All give the same batches.
    resident_gib
        Most memory, in GiB, that the images may take for ``auto`` to choose ``resident``. Unset: half of the free
        memory.
    workers
        Threads of ``ffcv`` or processes of ``torch`` that decode images. With 0, ``torch`` decodes in the main process.
        Unset: one per core, or a single one for raw images.
    timeout_minutes
        Minutes for which a rank waits for the others before the run ends with an error. It must cover the scoring
        of the held-out images, which the first rank does while the others wait.
    """

    device: str = "auto"
    precision: Literal["auto", "float32", "tf32", "bfloat16", "float16"] = "auto"
    threads: int | None = None
    compile: Literal["auto", "off", "default", "max-autotune", "reduce-overhead"] = "auto"
    deterministic: bool = True
    seed: int = 0
    max_skipped_updates: int = 20
    loader: Literal["auto", "resident", "ffcv", "torch"] = "auto"
    resident_gib: float | None = None
    workers: int | None = None
    timeout_minutes: float = 10.0

    def __post_init__(self) -> None:
        named = self.device in ("auto", "cpu", "cuda") or (
            self.device.startswith("cuda:") and self.device[5:].isdigit()
        )
        require(named, "runtime.device", self.device, "auto, cpu, cuda or cuda:N")
        if self.threads is not None:
            require(self.threads >= 1, "runtime.threads", self.threads, "1 or more")
        require(0 <= self.seed < 2**63, "runtime.seed", self.seed, "in [0, 2**63)")
        require_counts("runtime", self, ("max_skipped_updates",))
        if self.resident_gib is not None:
            require_not_negative("runtime", {"resident_gib": self.resident_gib})
        if self.workers is not None:
            least = 1 if self.loader == "ffcv" else 0
            require(least <= self.workers <= 256, "runtime.workers", self.workers, f"between {least} and 256")
        require_positive("runtime", {"timeout_minutes": self.timeout_minutes})
