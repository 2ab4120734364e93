"""Short runs of ``hscl train digits`` whose figures are recorded, so that a refactoring can be checked to the last bit.

``python tests/pinned_runs.py > tests/golden/pinned_runs.json`` records them anew, which only a change of what training
computes may ask for. The learning rate is small: rounding errors then stay as small as they begin, where a usual rate
would let them grow a thousandfold in 40 steps and every CPU would end elsewhere.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).parents[1]
# The instructions that every x86 CPU has: with these, most CPUs compute the same bits.
PLAIN_CPU = {
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_CBWR": "COMPATIBLE",
    "OPENBLAS_CORETYPE": "NEHALEM",
    "OMP_NUM_THREADS": "1",
}
COMMON = {
    "data.labelled_ratio": 0.2,  # so that every batch has labels, and every term a value
    "model.width": 16,
    "model.embedding_dim": 16,
    "augment.rotations": 4,
    "optim.epochs": 100,
    "optim.max_steps": 40,
    "optim.batch_size": 32,
    "optim.learning_rate": 1e-5,
    "runtime.device": "cpu",
    "runtime.precision": "float32",
    "runtime.threads": 1,
    "record.log_every": 1,
    "record.checkpoint_every": 10,
    "record.validate_every": 1,
    "evaluate.scoring": "paper",
}
REFERENCE = {"augment.backend": "reference"}
RELEASED = {
    "objective.name": "released",
    "objective.rotated_roles": "inherit",
    "objective.shift_loss": "true",
    "evaluate.scoring": "released",
}
RUNS = {
    "paper, cpu": {},
    "paper, cpu, resumed": {},
    "paper, reference": {"objective.backend": "reference", **REFERENCE},
    "released, cpu": RELEASED,
    "released, reference": {**RELEASED, **REFERENCE},
    # The first two updates overflow in float16 and are skipped: three are left, and more beside them.
    "paper, float16": {"runtime.precision": "float16", "optim.max_steps": 6, "optim.batch_size": 4},
}
TESTED = 100  # of the 602 test images, all classes among them: the score `released` takes 40 passes for each


def machine():
    """The CPU, the version of torch and the CPU form of the losses, which decide the bits."""
    import torch
    from hscl_kernels.contrast import cpu_native

    lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    decisive = [facts.get(name, "") for name in ("model name", "cache size", "flags")]
    losses = "C++" if cpu_native.why_not() is None else "Python"
    cpu = hashlib.sha256("\n".join(decisive).encode()).hexdigest()
    return {"cpu": cpu, "torch": torch.__version__, "losses": losses}


def stop_at(metrics, row):
    """Ask this process to stop once the log has a row."""
    while not metrics.exists() or len(metrics.read_text().splitlines()) < row:
        time.sleep(0.002)
    os.kill(os.getpid(), signal.SIGTERM)


def compute_only_what_is_recorded():
    """Leave out most of the test images, and the report with its heat maps."""
    from hscl_fast.data.named.digits import Digits
    from hscl_fast.runs import write_results

    load = Digits.load

    def load_fewer(self, *arguments):
        source = load(self, *arguments)
        test = source.test
        few = replace(test, images=test.images[:TESTED], labels=test.labels[:TESTED], names=test.names[:TESTED])
        return replace(source, test=few)

    Digits.load = load_fewer
    write_results.render_report = lambda *arguments, **options: b""


def train(out, changes, *, resumed):
    """Train and evaluate; return the log's figures and the test images' scores."""
    from hscl_fast.cli import main as cli

    flags = [f"--{name}={value}" for name, value in {**COMMON, **changes}.items()]
    command = ["train", "digits", "--recipe=cpu", f"--out={out}", *flags]
    if resumed:
        threading.Thread(target=stop_at, args=(out / "metrics.jsonl", 17), daemon=True).start()
        assert cli.run(command) == 128 + signal.SIGTERM
        command = ["train", f"--out={out}", "--resume"]
    assert cli.run(command) == 0
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    timeless = [{name: value for name, value in row.items() if "second" not in name} for row in rows if "epoch" in row]
    scores = [float(line.split(",")[1]) for line in (out / "scores.csv").read_text().splitlines()[1:]]
    return {"log": timeless, "scores": scores}


def record():
    """Return the machine and every run's figures, computed in a process of their own with ``PLAIN_CPU``."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "kernels"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, __file__, "here"],
        env={**os.environ, **PLAIN_CPU, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__" and sys.argv[1:] == ["here"]:
    compute_only_what_is_recorded()
    with tempfile.TemporaryDirectory() as folder:
        runs = {
            name: train(Path(folder, name.replace(", ", "-")), changes, resumed=name.endswith("resumed"))
            for name, changes in RUNS.items()
        }
    print()
    print(json.dumps({"machine": machine(), "runs": runs}))
elif __name__ == "__main__":
    print(json.dumps(record(), indent=0))
