"""The warmed process that runs the cases, and the folder that they copy from."""

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT, subprocess_environment


class Server:
    """The process of :mod:`hostile.server`."""

    def __init__(self, folder):
        environment = subprocess_environment()
        paths = [str(ROOT / "tests"), environment["PYTHONPATH"]]
        environment |= {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "hostile.server"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, text=True, env=environment, cwd=folder, errors="surrogateescape"
        )
        assert self._process.stdout.readline() == "ready\n"

    def run(self, **request):
        """Run one command: see :func:`hostile.server.run`."""
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def stop(self):
        """End the process."""
        self._process.stdin.close()
        self._process.wait()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    process = Server(tmp_path_factory.mktemp("server"))
    yield process
    process.stop()


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """See :attr:`hostile.case.Box.model`."""
    from hostile.model import make_model

    return make_model(tmp_path_factory.mktemp("model"))
