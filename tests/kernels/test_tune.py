"""What can be tested of tuning without a GPU: which tile is used, what is timed, and the errors."""

import contextlib
from types import SimpleNamespace

import pytest
import torch
from hscl_kernels import backends, launch, tune
from hscl_kernels.launch import Tile

CPU = torch.device("cpu")


@pytest.fixture
def tuned(monkeypatch):
    """Tiles tuned on the card that the interpreter stands for."""
    tiles = {}
    monkeypatch.setattr(launch, "tuned_tiles", lambda card: tiles)
    return tiles


def test_the_tile_of_the_nearest_number_of_rows_is_used(tuned):
    few, many = Tile(16, 32, 4, 1), Tile(32, 16, 4, 1)
    for rows, tile in ((2048, few), (65536, many)):
        tuned[launch.tile_key("forward", rows, 128, 2, online=False)] = tile

    def used(rows, online=False):
        return launch.forward_tile(rows, 128, torch.bfloat16, CPU, online=online)

    assert [used(rows) for rows in (2, 2048, 11000, 12000, 65536, 10**6)] == [few] * 3 + [many] * 3
    table = launch.forward_entry("sm_80", 128, 2, online=True)
    assert used(2048, online=True) == table not in (few, many)
    assert launch.backward_tile(2048, 128, torch.bfloat16, CPU, online=False) not in (few, many)


def test_a_candidate_that_does_not_fit_is_skipped_and_the_fastest_kept(tuned, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    slow, fast, broken = Tile(16, 16, 4, 1), Tile(32, 16, 4, 1), Tile(64, 64, 4, 1)

    def seconds(work, device):
        tile = launch.forward_tile(40, 16, torch.float32, CPU, online=False)
        if tile == broken:
            raise RuntimeError("out of shared memory")
        return {slow: 2e-6, fast: 1e-6}[tile]

    monkeypatch.setattr(tune, "_seconds", seconds)
    monkeypatch.setattr(tune, "_sweeps", lambda *shape: {"forward": lambda: None})
    lines = []
    kept = tune.tune(40, 16, torch.float32, CPU, candidates=[broken, slow, fast], report=lines.append)
    assert kept == {"forward D64 4 bytes N40": fast}
    assert [line.rpartition(": ")[2] for line in lines] == ["RuntimeError", "2.0 us", "1.0 us"]
    assert launch.read_tuned() == {"interpreter": {"forward D64 4 bytes N40": list(fast)}}


def test_on_a_gpu_calls_in_a_graph_are_timed(monkeypatch):
    calls, replays = [], []

    class Graph:
        def replay(self):
            replays.append(len(calls))

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            pass

        def synchronize(self):
            pass

        def elapsed_time(self, stop):
            return 5.0  # milliseconds

    for name, fake in {
        "CUDAGraph": Graph,
        "graph": lambda graph: contextlib.nullcontext(),
        "device": lambda device: contextlib.nullcontext(),
        "synchronize": lambda device: None,
        "Event": Event,
    }.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    found = tune._seconds(lambda: calls.append(1), SimpleNamespace(type="cuda"))
    assert found == pytest.approx(5e-3 / tune._CALLS)
    assert set(replays) == {1 + tune._CALLS}  # the call that compiles, those of the graph, and none beside them


def test_without_a_gpu_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr(backends, "INTERPRETED", False)
    with pytest.raises(ValueError, match="move them to a GPU"):
        tune.tune(40, 16, torch.float32, CPU)
    if not torch.cuda.is_available():
        with pytest.raises(SystemExit):
            tune.main([])
        assert "torch finds no GPU here" in capsys.readouterr().err
