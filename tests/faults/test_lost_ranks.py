"""One of two ranks is killed: the other ends with an error, and the run resumes to the same bits."""

import os
import random
import re
import socket

import pytest
from commands import KILLED, TRAIN, run_all
from files import assert_whole, leftovers, results

TRIALS = max(2, int(os.environ.get("HSCL_FAULTS", "10")) // 10)
# A rank that waits for one which was killed before they had met learns of it only by the time-out.
ON_RANKS = [*TRAIN, "--runtime.timeout_minutes=0.2"]
RESUME = ["train", "--out", "run", "--resume"]


def on_two_ranks(folder, arguments, *, kill=None):
    """Run a command on two ranks; return their outcomes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = [
        {
            "arguments": arguments,
            "environment": {
                **{"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"},
                **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)},
            },
        }
        for rank in range(2)
    ]
    return run_all(folder, ranks, kill=kill)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What two ranks make, and how long they take."""
    folder = tmp_path_factory.mktemp("ranks")
    outcomes = on_two_ranks(folder, ON_RANKS)
    assert [one.status for one in outcomes] == [0, 0], outcomes
    return results(folder), max(one.seconds for one in outcomes)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(TRIALS))
def test_a_killed_rank_ends_the_others_and_the_run_resumes_bit_for_bit(number, whole, tmp_path):
    want, seconds = whole
    chance = random.Random(number)
    killed, after = number % 2, chance.uniform(0.1, 0.9) * seconds
    print(f"rank {killed} killed after {after:.2f} s; repeat it with:")
    print(f"HSCL_FAULTS={10 * (number + 1)} .venv/bin/python -m pytest {__file__} -k '[{number}]'")
    outcomes = on_two_ranks(tmp_path, ON_RANKS, kill={"command": killed, "after": after})
    lost, other = outcomes[killed], outcomes[1 - killed]
    print(lost, other, sep="\n")
    assert lost.status in (KILLED, 0)
    if other.status:
        assert other.status == 2
        assert re.search(r"lost another rank.*--resume|did not reach the others", other.output)
        assert "Traceback" not in other.output
    assert_whole(tmp_path)
    repeated = on_two_ranks(tmp_path, RESUME if (tmp_path / "run").exists() else ON_RANKS)
    if repeated[0].status == 2:
        assert "--overwrite" in repeated[0].output
        repeated = on_two_ranks(tmp_path, [*ON_RANKS, "--overwrite"])
    assert [one.status for one in repeated] == [0, 0], repeated
    assert results(tmp_path) == want
    assert leftovers(tmp_path) == []
