from comparators.comparing import setting

from hscl_fast.comparators.blocks.budget import affordable_steps, within


def test_as_many_views_as_hscl():
    chosen = setting(total_steps=20, augment={"rotations": 4}, optim={"batch_size": 16})
    assert affordable_steps(chosen, 1000, views_per_step=32) == 20 * 2 * 4 * 16 // 32
    assert affordable_steps(chosen, 10, views_per_step=32) == 20 * 2 * 4 * 10 // 32  # a batch is the whole set
    assert affordable_steps(chosen, 10, views_per_step=10**6) == 1


def test_stages_are_shortened_in_proportion_only_where_too_long():
    assert within(100, 150, 50) == [75, 25]
    assert within(1000, 150, 50) == [150, 50]
    assert within(1, 150, 50) == [1, 1]
