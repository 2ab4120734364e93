"""Batches from a ``.beton`` through FFCV, which reads and decodes them in compiled code while training runs."""

from __future__ import annotations

import os
import queue
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hscl_fast.data.beton.ffcv_import import import_ffcv
from hscl_fast.data.beton.reader import Beton
from hscl_fast.data.loaders.loader import Batch, Loader, deliver
from hscl_fast.data.loaders.order import WHOLE, Share
from hscl_fast.data.types import LazyImages, TrainingImages
from hscl_fast.errors import UsageError

_POLL = 1.0  # seconds between two looks at whether FFCV's thread is alive


class BetonLoader(Loader):
    """Shuffled batches of the images of a ``.beton``.

    Parameters
    ----------
    training, batch_size, seed, device, share
        As for :class:`hscl_fast.data.loaders.loader.Loader`.
    workers
        Threads that decode. Unset: one for raw images, which are only copied, and all cores for JPEGs.
    """

    def __init__(
        self,
        training: TrainingImages,
        batch_size: int,
        *,
        seed: int,
        device: torch.device,
        workers: int | None,
        share: Share = WHOLE,
    ) -> None:
        super().__init__(training, batch_size, seed=seed, device=device, share=share)
        images = training.images
        assert isinstance(images, LazyImages)
        assert isinstance(images.reader, Beton)
        self._rows, self._beton = images.rows.astype(np.uint64), images.reader
        if workers is None:
            workers = 1 if images.reader.encoding == "raw" else os.cpu_count() or 1
        self._loader = _ffcv_loader(images.reader, self.batch_size // share.ranks, workers)

    def batches(self, first_step: int, last_step: int) -> Generator[Batch, None, None]:
        """Yield the batches of steps ``first_step`` to ``last_step - 1``, counted over all epochs."""
        return deliver(self._copies(first_step, last_step), self.roles)

    def _copies(self, first_step: int, last_step: int) -> Generator[tuple[Tensor, Tensor], None, None]:
        pin = self.roles.device.type == "cuda"
        for stretch in self._order.stretches(first_step, last_step, torch.device("cpu")):
            with _running(self._loader, self._rows[stretch.flatten().numpy()], self._beton) as buffers:
                for indices, buffer in zip(stretch, buffers, strict=True):
                    # FFCV writes later batches into the same buffers.
                    images = torch.empty(buffer.shape, dtype=torch.uint8, pin_memory=pin)
                    images.copy_(torch.from_numpy(buffer))
                    yield images, indices.pin_memory() if pin else indices.clone()


def _ffcv_loader(beton: Beton, batch_size: int, workers: int) -> Any:
    import_ffcv()
    from ffcv.fields.decoders import SimpleRGBImageDecoder
    from ffcv.loader import Loader

    return Loader(
        str(beton.path),
        batch_size,
        num_workers=workers,
        os_cache=True,
        seed=0,  # unused, but without one FFCV draws it from NumPy's global generator
        pipelines={"image": [SimpleRGBImageDecoder()], "role": None, "index": None, "part": None},
        batches_ahead=2,
    )


@contextmanager
def _running(loader: Any, rows: np.ndarray, beton: Beton) -> Iterator[Iterator[np.ndarray]]:
    """Run FFCV's thread over some rows and give its batches, uint8 [B, S, S, 3]; end the thread on leaving."""
    from ffcv.loader.epoch_iterator import EpochIterator

    class Epoch(EpochIterator):
        failure: BaseException | None = None

        def run(self) -> None:
            try:
                super().run()
            except BaseException as error:  # else a thread's error is lost
                self.failure = error

    epoch = Epoch(loader, rows)
    try:
        yield _outputs(epoch, beton)
    finally:
        epoch.iter_ixes = iter(())  # no more batches after the current one
        epoch.terminate_event.set()
        while epoch.is_alive():
            while not epoch.output_queue.empty():  # else it waits for space in the queue
                epoch.output_queue.get_nowait()
            epoch.join(0.01)


def _outputs(epoch: Any, beton: Beton) -> Iterator[np.ndarray]:
    while True:
        try:
            output = epoch.output_queue.get(timeout=_POLL)
        except queue.Empty:
            if epoch.is_alive() or not epoch.output_queue.empty():
                continue
            raise UsageError(
                f"{beton.path} stopped giving images ({type(epoch.failure).__name__}: {epoch.failure}). Verify the "
                "file with `hscl data verify`, then continue with --resume. If it stops again, train another run with "
                "--runtime.loader torch."
            ) from epoch.failure
        if output is None:
            return
        yield output[1][0]
