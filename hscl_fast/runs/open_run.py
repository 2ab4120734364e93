"""Opens the data of a run that is about to be trained, checks that it may be written, and makes its directory."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rich.console import Console

from hscl_fast.config.sections import Config
from hscl_fast.console import say
from hscl_fast.data.added_files import remark_on_added_files
from hscl_fast.data.bad_images import BadImages
from hscl_fast.data.bit_depth import with_scale
from hscl_fast.data.loaders.choose import LoaderKind, choose_loader
from hscl_fast.data.open import in_memory, open_split
from hscl_fast.data.split.split import Split
from hscl_fast.data.user.passed import PassedImages
from hscl_fast.device import Execution, resolve_device, resolve_execution
from hscl_fast.ranks.group import Ranks
from hscl_fast.runs.backends import prepare_backends
from hscl_fast.runs.directory import RunDirectory
from hscl_fast.runs.lock import RunLock
from hscl_fast.runs.proposal import propose_pretrained
from hscl_fast.runs.recorder import RunRecorder
from hscl_fast.runs.show import show_slow_precision, show_split
from hscl_fast.training.recorder import Recorder, SilentRecorder


@dataclass(frozen=True)
class OpenedRun:
    """A run that is about to be trained.

    Attributes
    ----------
    directory
        Where it is written.
    config
        The configuration, with what the data says.
    split
        The images and their roles.
    loader, execution
        How images are loaded, and where the network runs.
    recorder
        Where its figures and checkpoints go.
    ranks, console
        The processes that train together, and where they say so.
    resume, overwrite
        Whether it goes on, and whether it may replace another run.
    images
        Those that a program gave.
    lock
        Of the directory.
    """

    directory: RunDirectory
    config: Config
    split: Split
    loader: LoaderKind
    execution: Execution
    recorder: Recorder
    ranks: Ranks
    console: Console
    resume: bool
    overwrite: bool
    images: PassedImages | None
    lock: RunLock

    def begin(self) -> None:
        """Make the run directory, or keep where the data of a resumed run lies now; the first rank does it."""
        if not self.ranks.is_first:
            return
        if not self.resume:
            self.directory.create(self.config, self.split, self.lock, overwrite=self.overwrite, images=self.images)
        elif self.config != self.directory.load_config():
            self.directory.save_config(self.config)


def open_run(
    config: Config,
    directory: RunDirectory,
    images: PassedImages | None,
    lock: RunLock,
    ranks: Ranks,
    console: Console,
    *,
    resume: bool,
    overwrite: bool,
) -> OpenedRun:
    """Open the data of a run; the parameters are those of :func:`hscl_fast.runs.train_run.train_run`.

    Raises
    ------
    UsageError
        The configuration does not fit the data or this machine, or the directory is taken.
    """
    prepare_backends(config.runtime)
    with ranks.together():
        if ranks.is_first:
            if not resume:
                directory.require_free(overwrite=overwrite)
                directory.require_other_data(config, images)
            if directory.path.exists():
                lock.acquire()  # before anything of another writer is read
                directory.require_no_way_out()
        device = resolve_device(config.runtime.device, ranks.local_rank)
        try:
            split = open_split(directory.recorded_data(config) if resume else config.data, images)
            config = replace(config, data=with_scale(config.data, split.decoding))
            proposal = () if resume else propose_pretrained(config, split, device)
            split = replace(split, remarks=(*split.remarks, *proposal))
            if not resume and config.data.split_record is not None:
                added = remark_on_added_files(config.data, split.record)
                split = replace(split, remarks=(*split.remarks, *added))
            loader = choose_loader(config.data, config.runtime, split, device)
            if loader.kind == "resident":
                split = in_memory(split)
            if resume:
                split = replace(split, remarks=(*split.remarks, *directory.remarks))
        except BadImages as error:
            if resume or config.data.split_record is not None:  # the record says which images there are
                raise
            raise BadImages(error.files, "To train without them, add --data.skip_bad true.") from error
    show_split(split, config.data.name, console)
    if config.augment.cached_views is None and config.method.is_hscl:
        say(console, f"loader {loader.kind}: {loader.reason}")
    execution = resolve_execution(device, precision=config.runtime.precision, compile=config.runtime.compile)
    show_slow_precision(device, config.runtime.precision, console)
    recorder: Recorder = SilentRecorder()
    if ranks.is_first:
        recorder = RunRecorder(directory, console, tensorboard=config.record.tensorboard)
    return OpenedRun(
        directory=directory,
        config=config,
        split=split,
        loader=loader.kind,
        execution=execution,
        recorder=recorder,
        ranks=ranks,
        console=console,
        resume=resume,
        overwrite=overwrite,
        images=images,
        lock=lock,
    )
