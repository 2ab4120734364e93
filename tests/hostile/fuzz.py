"""A coverage-guided fuzzer of the readers of sidecars, split records and checkpoints: ``python -m hostile.fuzz``.

Each target runs in a process of its own for a third of the time. Inputs begin as real files; half of the mutations keep
them JSON, or an archive, so that they reach what lies behind the parser. A finding is an exception other than
``UsageError``, more than 2 GiB of memory, or more than 5 seconds; it is kept in the folder ``findings``.
"""

import argparse
import io
import json
import random
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import zipfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["hscl_fast", "safetensors"]):
    from hscl_fast.data.beton.sidecar import read_sidecar, sidecar_path
    from hscl_fast.data.split.record import checksum, read_record
    from hscl_fast.runs.calibration import load_calibration
    from hscl_fast.runs.checkpoint import load_checkpoint
    from hscl_fast.runs.directory import Results

from hostile.build import sha256
from hscl_fast.errors import UsageError

MEMORY_MIB, SECONDS = 2048, 5
ODD = (None, True, -1, 0, 1.5, 10**30, "", "../a", "\0", "\ud800", [], {}, [[[]]], "x" * 1000, 2**63)


class Target:
    """What one process reads: ``read(data)``; ``seeds`` are real files."""

    def __init__(self, folder, model):
        self.folder, self.model = folder, model


class Sidecar(Target):
    """The JSON beside a .beton."""

    def seeds(self):
        """The sidecar of the model folder."""
        return [(self.model / "photos.beton.json").read_bytes()]

    def read(self, data):
        """Read it."""
        beton = self.folder / "a.beton"
        sidecar_path(beton).write_bytes(data)
        read_sidecar(beton)

    def mutate(self, data, rng):
        """Change a value of the JSON."""
        return json.dumps(changed(json.loads(data), rng)).encode()


class Record(Sidecar):
    """A split record, whose checksum is made right."""

    def seeds(self):
        """The record of the model run."""
        return [(self.model / "run/split.json").read_bytes()]

    def read(self, data):
        """Read it."""
        path = self.folder / "split.json"
        path.write_bytes(data)
        read_record(path)

    def mutate(self, data, rng):
        """Change a value, then the checksum."""
        plain = changed(json.loads(data), rng)
        if isinstance(plain, dict) and rng.random() < 0.9:
            plain["checksum"] = checksum(plain)
        return json.dumps(plain).encode()


class Checkpoint(Target):
    """A manifest (M), weights (W), a training state (S) or the manifest of a calibration (C), as the first byte says.

    What the byte does not name is a real file; the checksums of the files are always right.
    """

    def __init__(self, folder, model):
        super().__init__(folder, model)
        last = model / "run/checkpoints/last"
        self.manifest = json.loads((last / "checkpoint.json").read_text())
        self.real = {kind: (last / file["name"]).read_bytes() for kind, file in self.manifest["files"].items()}
        self.calibration = model / "run/calibration"
        small = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
        self.small = struct.pack("<Q", len(small)) + small + bytes(8)

    def seeds(self):
        """One real file of each kind; the weights are a small file, since they are mutated byte by byte."""
        state = io.BytesIO()
        import torch

        torch.save({"a": torch.zeros(2), "b": [1, (2, "x")], "c": {0: 1.5}}, state)
        manifests = [json.dumps(self.manifest).encode(), (self.calibration / "checkpoint.json").read_bytes()]
        return [b"M" + manifests[0], b"C" + manifests[1], b"W" + self.small, b"S" + state.getvalue()]

    def read(self, data):
        """Write the files, and read them."""
        kind, data = data[:1], data[1:]
        manifest = data if kind in b"MC" and kind else None
        contents = {"weights": data if kind == b"W" else self.small, "state": data if kind == b"S" else b""}
        files = {}
        for name, content in contents.items():
            file = f"{name}-{'0' * 16}.{'pt' if name == 'state' else 'safetensors'}"
            (self.folder / file).write_bytes(content)
            files[name] = {"name": file, "sha256": sha256(content)}
        results = Results(self.folder / "results")
        place = results.calibration if kind == b"C" else self.folder
        place.mkdir(parents=True, exist_ok=True)
        plain = {"format": 1, "files": files, "info": {"step": 1}}
        (place / "checkpoint.json").write_bytes(manifest if manifest is not None else json.dumps(plain).encode())
        if kind == b"C":
            load_calibration(results, "hscl eval")
        else:
            load_checkpoint(self.folder, with_state=kind == b"S")

    def mutate(self, data, rng):
        """Change a value of a manifest or of the header of the weights, or some bytes of the state's pickle."""
        kind, data = data[:1], data[1:]
        if kind == b"W":
            (length,) = struct.unpack("<Q", data[:8])
            header = json.dumps(changed(json.loads(data[8 : 8 + length]), rng)).encode()
            return kind + struct.pack("<Q", len(header)) + header + data[8 + length :]
        if kind == b"S":
            return kind + self._repacked(data)
        return kind + json.dumps(changed(json.loads(data), rng)).encode()

    def _repacked(self, data):
        file = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w") as new:
            for member in old.infolist():
                content = old.read(member)
                new.writestr(
                    member, atheris.Mutate(content, len(content) + 50) if "pkl" in member.filename else content
                )
        return file.getvalue()


TARGETS = {"sidecar": Sidecar, "record": Record, "checkpoint": Checkpoint}


def changed(plain, rng):
    """A JSON value with one value in it replaced, removed or repeated."""
    places = list(all_places(plain))
    if not places:
        return rng.choice(ODD)
    holder, key = rng.choice(places)
    action = rng.randrange(4)
    if action == 0:
        del holder[key]
    elif action == 1 and isinstance(holder, list):
        holder.append(holder[key])
    elif action == 2 and isinstance(holder, dict):
        holder[rng.choice(("", "x", "__class__", str(key)))] = rng.choice(ODD)
    else:
        other, other_key = rng.choice(places)
        holder[key] = rng.choice((*ODD, other[other_key] if other is not holder else 7))
    return json.loads(json.dumps(plain))


def all_places(plain):
    """Every place in a JSON value, as the object or list that it is in and its key."""
    if isinstance(plain, dict | list):
        for key in list(plain) if isinstance(plain, dict) else range(len(plain)):
            yield plain, key
            yield from all_places(plain[key])


def fuzz(name, model, findings, seconds):
    """Fuzz one target in this process, which libFuzzer ends; findings are kept by place of the exception."""
    target = TARGETS[name](Path(tempfile.mkdtemp(prefix="hscl-fuzz-", dir=shared_memory())), model)
    seen = set()

    def run(data):
        started = time.monotonic()
        try:
            target.read(data)
        except UsageError:
            pass
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            keep(data, f"{type(error).__name__}-{Path(place.filename).stem}-{place.lineno}", traceback.format_exc())
        if time.monotonic() - started > SECONDS:
            keep(data, "slow", f"{time.monotonic() - started:.1f} s")

    def keep(data, what, text):
        if what not in seen:
            seen.add(what)
            (findings / f"{name}-{what}").write_bytes(data)
            print(f"FINDING {name} {what}\n{text}", flush=True)

    def mutate(data, limit, seed):
        rng = random.Random(seed)
        try:
            if rng.random() < 0.7:
                return target.mutate(data, rng)[:limit]
        except Exception:  # no longer of its kind, on which json and zipfile raise almost anything
            pass
        return atheris.Mutate(data, limit)

    corpus = Path(tempfile.mkdtemp(prefix="hscl-corpus-"))
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed{number}").write_bytes(seed)
    options = [f"-max_total_time={seconds}", f"-rss_limit_mb={MEMORY_MIB + 1024}", f"-timeout={SECONDS * 4}"]
    options += [f"-artifact_prefix={findings}/{name}-", "-max_len=100000", "-print_final_stats=1", "-close_fd_mask=0"]
    atheris.Setup([sys.argv[0], str(corpus), *options], run, custom_mutator=mutate)
    atheris.Fuzz()


def shared_memory():
    """A folder in memory, where there is one."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def main():
    """Fuzz all targets one after the other, and fail if there is a finding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="for all targets together")
    parser.add_argument("--findings", type=Path, default=Path("findings"), help="folder for the inputs that were found")
    parser.add_argument("--target", choices=TARGETS, help="fuzz one target in this process")
    parser.add_argument("--model", type=Path, help="folder to take real files from; made where it is not given")
    given = parser.parse_args()
    given.findings.mkdir(exist_ok=True)
    if given.target:
        fuzz(given.target, given.model, given.findings, given.seconds)
    from hostile.model import make_model

    model = given.model or make_model(Path(tempfile.mkdtemp(prefix="hscl-model-")))
    share = given.seconds // len(TARGETS)
    arguments = ["--seconds", str(share), "--findings", str(given.findings), "--model", str(model)]
    failed = [
        target
        for target in TARGETS
        if subprocess.run([sys.executable, "-m", "hostile.fuzz", "--target", target, *arguments]).returncode
    ]
    found = sorted(path.name for path in given.findings.iterdir())
    print(
        f"{len(found)} findings in {given.findings}: {', '.join(found) or 'none'}; targets that failed: {failed or 0}"
    )
    sys.exit(bool(found or failed))


if __name__ == "__main__":
    main()
