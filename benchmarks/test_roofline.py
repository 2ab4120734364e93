"""How much does a step at the paper's batch launch, move, compute and wait for, and how long would it take on GPUs?"""

from benchmarks import roofline


def test_roofline(benchmark):
    """Counts, on the CPU; the time that pytest-benchmark notes is that of counting. Needs 10 GB of memory."""
    steps = benchmark.pedantic(roofline.steps)
    assert not steps[roofline.OURS].waits
    benchmark.extra_info.update(
        images=roofline.IMAGES,
        launch=roofline.LAUNCH,
        wait=roofline.WAIT,
        steps={name: step._asdict() for name, step in steps.items()},
    )
