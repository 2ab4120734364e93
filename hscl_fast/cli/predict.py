"""``hscl predict``: scores image files with a trained run."""

from __future__ import annotations

from jsonargparse import Namespace
from rich.console import Console

from hscl_fast.console import say
from hscl_fast.runs.predict_run import predict_run


def run(options: Namespace, console: Console) -> int:
    """Score the images and print where the scores are."""
    done = predict_run(
        options.RUN,
        options.PATH,
        options.out,
        device=options.device,
        evaluation=options.evaluation,
        overwrite=options.overwrite,
        console=console,
    )
    used = done.calibration
    name = options.evaluation or "the run's own"
    say(
        console,
        f"evaluation {name}: score {used.scoring} of checkpoint {used.checkpoint} at step {used.step}, threshold "
        f"{used.threshold:.4g} from {used.threshold_source}",
    )
    say(
        console,
        f"{done.images} images scored in {done.seconds:.1f} s, {done.abnormal} of them abnormal: "
        f"{options.out} (higher anomaly_score = more anomalous, above 0 = abnormal)",
    )
    return 0
