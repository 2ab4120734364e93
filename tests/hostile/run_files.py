"""Hostile run directories: links that lead writers out, names with .., locks and markers that lie, broken metrics."""

import json
import os
import shutil

from hostile.build import copy, draw_photos, fifo, replace_text, sparse
from hostile.case import ACCEPTED, REFUSED, Case

EVAL = ("eval", "run", "--overwrite")
RESUME = ("train", "--out", "run", "--resume")
OVERWRITE = ("train", "photos", "--out", "run", "--overwrite", "--recipe", "cpu")
PREDICT = ("predict", "run", "photos", "--out", "out.csv")
FILES = (".lock", "summary.json", "scores.csv", "suspects.csv", "suspects.html", "report.html", "calibration")
RESULTS = tuple(f"run/{name}" for name in FILES)


def changed(name, change, command, status=REFUSED, culprit="run", may_change=("run/.lock",)):
    """A run directory with something changed: ``change(run, box)``."""

    def make(box):
        change(copy(box, "run", "photos"), box)

    return Case("run", name, make, command, status, culprit, may_change)


def moved_out(name):
    """A change that moves a file or folder of the run outside and leaves a link to it."""

    def change(run, box):
        target = box.outside / "moved"
        if (run / name).exists():
            shutil.move(run / name, target)
        else:
            target.mkdir()
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).symlink_to(target)

    return change


def metrics(text):
    """A change that gives the run other rows of metrics."""
    return lambda run, box: replace_text(run / "metrics.jsonl", text)


def evaluation(name):
    """The name of an evaluation, which ``hscl predict`` would read and ``hscl eval`` write."""
    slug = name.replace("/", "_").replace("\0", "0").replace("\n", "n")[:20]
    return [
        changed(f"name_{slug}", lambda run, box: None, ("eval", "run", f"--name={name}"), culprit="name"),
        changed(f"evaluation_{slug}", lambda run, box: None, (*PREDICT, f"--evaluation={name}"), culprit="name"),
    ]


def lock_text(text):
    """A lock file of that text, which no process holds."""
    return lambda run, box: replace_text(run / ".lock", text)


def in_place_of(name, put):
    """A change that puts something else in the place of a file."""

    def change(run, box):
        (run / name).unlink(missing_ok=True)
        put(run / name)

    return change


ROWS = {
    "not_utf8": b"\xff\xfe\n",
    "binary": bytes(range(256)) * 100,
    "text_values": '{"step": 1, "views_per_second": "fast", "loss": "low", "loss_ss": {}}\n' * 3,
    "huge_values": '{"step": 1, "views_per_second": 1e308, "loss": 1e308}\n' * 3,
    "infinite_values": '{"step": 1, "views_per_second": Infinity, "loss": NaN}\n' * 3,
    "lists": '{"step": 1, "views_per_second": [1, 2], "loss": [[]]}\n',
    "step_bool": '{"step": true, "loss": 1}\n',
    "step_huge": '{"step": ' + "9" * 400 + ', "loss": 1.0}\n',
    "deep": "[" * 100_000 + "\n",
    "long_integer": '{"step": ' + "9" * 5000 + "}\n",
    "html_key": '{"step": 1, "</script><script>alert(1)</script>": 1.0}\n',
    "surrogate_key": '{"step": 1, "\\ud800": 1.0}\n',
    "empty_lines": "\n" * 10_000,
}

CASES = [
    *(changed(f"metrics_{name}", metrics(text), EVAL, ACCEPTED, "", RESULTS) for name, text in ROWS.items()),
    changed("metrics_sparse", in_place_of("metrics.jsonl", sparse), EVAL),
    changed("metrics_pipe", in_place_of("metrics.jsonl", fifo), EVAL),
    changed("metrics_folder", in_place_of("metrics.jsonl", os.mkdir), EVAL),
    *(
        changed(f"{name.replace('/', '_')}_outside", moved_out(name), command)
        for name, command in {
            "metrics.jsonl": RESUME,
            "checkpoints": RESUME,
            "calibration": EVAL,
            "evaluations": ("eval", "run", "--name", "again"),
            "evaluations/again": ("eval", "run", "--name", "again"),
            "checkpoints/best": RESUME,
            ".lock": EVAL,
            "split.json": RESUME,
        }.items()
    ),
    changed("overwrite_link_outside", moved_out("checkpoints"), OVERWRITE),
    changed("overwrite_foreign_file", lambda run, box: (run / "thesis.tex").write_text("x"), OVERWRITE),
    changed("overwrite_without_marker", lambda run, box: (run / ".hscl-run").unlink(), OVERWRITE),
    changed("overwrite_marker_is_folder", in_place_of(".hscl-run", os.mkdir), OVERWRITE),
    changed("overwrite_lock_pipe", in_place_of(".lock", fifo), OVERWRITE),
    *(
        changed(f"lock_{name}", lock_text(text), EVAL, ACCEPTED, "", RESULTS)
        for name, text in {
            "lies": json.dumps({"pid": 1, "host": "\x1b[2J", "since": "now"}),
            "binary": bytes(256),
            "deep": "[" * 100_000,
        }.items()
    ),
    changed("lock_pipe", in_place_of(".lock", fifo), EVAL),
    changed("lock_folder", in_place_of(".lock", os.mkdir), EVAL),
    *(
        changed(f"summary_{name}", in_place_of("summary.json", put), EVAL, ACCEPTED, "", RESULTS)
        for name, put in {"sparse": sparse, "pipe": fifo}.items()
    ),
    changed("summary_folder", in_place_of("summary.json", os.mkdir), EVAL, may_change=RESULTS),
    changed("is_a_file", lambda run, box: (shutil.rmtree(run), run.write_text("x")), PREDICT),
    changed("is_gone", lambda run, box: shutil.rmtree(run), PREDICT, culprit="run"),
    changed("is_not_trained", lambda run, box: shutil.rmtree(run / "checkpoints"), PREDICT),
    changed("is_not_a_run", lambda run, box: (shutil.rmtree(run), draw_photos(run)), PREDICT),
    *evaluation("../../outside"),
    *evaluation("/tmp/owned"),
    *evaluation(".."),
    *evaluation("a\n"),
    *evaluation(""),
    *evaluation("a" * 5000),
]
