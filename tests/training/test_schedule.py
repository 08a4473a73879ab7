"""Progress of training by its steps and by a time limit, with a clock of the test."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sk_ssvae.training.schedule import (
    MIN_SHARE,
    MIN_TIMED_SHARE,
    MIN_TIMED_STEPS,
    Schedule,
    TimeLimit,
)


class Clock:
    """Stands for `time.perf_counter`."""

    def __init__(self, now=0.0):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock(1000.0)
    monkeypatch.setattr("sk_ssvae.training.schedule.time.perf_counter", clock)
    return clock


def run(clock, n_steps, seconds, durations):
    """Return the progress before each step, and after the last one, of a stage."""
    schedule = Schedule(n_steps, deadline=clock.now + seconds)
    progress = []
    for duration in durations:
        progress.append(schedule.take_step())
        clock.now += duration
        if schedule.is_over:
            break
    return [*progress, schedule.progress]


def test_without_a_limit_progress_is_the_fraction_of_steps():
    schedule = Schedule(7)
    for i in range(7):
        assert not schedule.is_over
        assert schedule.is_on_plan
        assert schedule.take_step() == i / 7
    assert schedule.is_over
    resumed = Schedule(7, step=3)
    assert [resumed.take_step() for _ in range(4)] == [i / 7 for i in range(3, 7)]


@pytest.mark.parametrize("seconds", [700.001, 1e9])
def test_enough_time_changes_no_bit(clock, seconds):
    expected = [i / 700 for i in range(701)]
    assert run(clock, 700, seconds, [1.0] * 700) == expected


@pytest.mark.parametrize("n_fitting", [3, 30, 300])
def test_progress_is_linear_in_the_steps_for_which_there_is_time(clock, n_fitting):
    progress = run(clock, 1000, n_fitting, [1.0] * 1000)
    assert len(progress) - 1 == n_fitting
    # As planned until the time of a step, other than the first, is estimated.
    start = min(1 + MIN_TIMED_STEPS, max(2, math.ceil(n_fitting * MIN_TIMED_SHARE)))
    assert progress[: start + 1] == [i / 1000 for i in range(start + 1)]
    expected = np.linspace(progress[start], 1, n_fitting + 1 - start)
    np.testing.assert_allclose(progress[start:], expected)


@pytest.mark.parametrize("n_fitting", [1, 2])
def test_stages_of_one_or_two_steps(clock, n_fitting):
    progress = run(clock, 1000, n_fitting, [1.0] * 1000)
    assert progress == [i / 1000 for i in range(n_fitting + 1)]


def test_a_slow_first_step_has_no_effect(clock):
    durations = [50.0, *[1.0] * 399]
    expected = [i / 400 for i in range(401)]
    assert run(clock, 400, 900, durations) == expected


@given(
    st.integers(1, 60),
    st.floats(0.01, 100),
    st.lists(st.floats(0.0, 20.0), min_size=60, max_size=60),
)
def test_any_stage_ends_with_the_step_in_which_its_time_runs_out(n, seconds, steps):
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sk_ssvae.training.schedule.time.perf_counter", clock)
        progress = run(clock, n, seconds, steps)
    assert progress == sorted(progress)
    assert all(p < 1 for p in progress[:-1])
    n_done = len(progress) - 1
    assert 1 <= n_done <= n
    assert sum(steps[: n_done - 1]) < seconds
    assert progress[-1] == 1 or sum(steps[:n_done]) >= seconds


def test_progress_that_was_ahead_ends_with_the_last_step():
    """Training that is resumed without a limit."""
    schedule = Schedule(10, step=4, progress=0.7)
    assert not schedule.is_on_plan
    progress = [schedule.take_step() for _ in range(6)]
    assert progress == pytest.approx([0.7, 0.75, 0.8, 0.85, 0.9, 0.95])
    assert schedule.is_over


def test_an_epoch_that_is_repeated_starts_at_its_progress(clock):
    schedule = Schedule(100, deadline=clock.now + 20)
    for _ in range(12):
        schedule.take_step()
        clock.now += 1
    schedule.start_epoch()
    before = schedule.step, schedule.progress
    for _ in range(4):
        schedule.take_step()
        clock.now += 1
    assert schedule.progress > before[1]
    schedule.restart_epoch()
    assert (schedule.step, schedule.progress) == before
    # The time has passed nevertheless: 4 seconds are left.
    n_steps = 0
    while not schedule.is_over:
        schedule.take_step()
        clock.now += 1
        n_steps += 1
    assert n_steps == 4


def test_the_time_after_the_teacher_is_divided_among_the_stages(clock):
    limit = TimeLimit(100.0, clock.now - 40)
    assert (limit.seconds_besides, limit.is_extended) == (40, False)
    assert limit.end_time == clock.now + 60
    assert limit.stage_deadline(30, 10) == pytest.approx(clock.now + 45)
    clock.now += 20  # a stage that ended early
    assert limit.stage_deadline(10, 0) == pytest.approx(clock.now + 40)
    assert limit.stage_deadline(0, 0) == clock.now  # of a run that is complete
    clock.now += 50
    assert limit.stage_deadline(10, 0) == clock.now


def test_the_time_after_training_is_left(clock):
    limit = TimeLimit(100.0, clock.now - 40, seconds_after=15.0)
    assert (limit.seconds_besides, limit.is_extended) == (55, False)
    assert limit.end_time == clock.now + 45
    assert TimeLimit(100.0, clock.now - 40, seconds_after=45.0).is_extended


@pytest.mark.parametrize("before", [81, 100, 1e6])
def test_training_gets_a_share_whatever_the_teacher_takes(clock, before):
    limit = TimeLimit(100.0, clock.now - before)
    assert limit.is_extended
    assert limit.end_time == clock.now + 100 * MIN_SHARE
