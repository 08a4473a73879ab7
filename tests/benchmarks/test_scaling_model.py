"""The model of time: what is fitted, and what follows from it."""

import math
import re
from pathlib import Path

import pytest

from benchmarks.speed import scaling, scaling_report
from benchmarks.speed.scaling_model import (
    FitModel,
    Network,
    StepModel,
    Teacher,
    fit_network,
    fit_steps,
)
from benchmarks.speed.step_cost import default_step
from sk_ssvae.training.batches import resolve_max_epochs

ROOT = Path(__file__).parents[2]
STEPS = StepModel(
    overhead=2e-3,
    adversarial_overhead=1e-3,
    per_flop=2e-11,
    per_byte=1e-10,
    per_draw=3e-9,
)
TEACHER = Teacher((1000, 10_000, 20_000), (1.0, 8.0, 13.0), 5e-4, 2e-3)


def make_model(**changes):
    parts = {
        "steps": STEPS,
        "network": Network(1e-4, 1e9),
        "teacher": TEACHER,
        "preparation": 1e-6,
        "prediction": 2e-6,
        "shuffle": 1e-7,
    }
    return FitModel(**(parts | changes))


def make_steps():
    return [
        default_step(4 * size, size, size, columns, 5, adversarial=adversarial)
        for size in (16, 128, 1024)
        for columns in (10, 200)
        for adversarial in (False, True)
    ]


def test_fit_finds_the_factors_that_made_the_times():
    steps = make_steps()
    seconds = [STEPS.seconds(step) for step in steps]
    found = fit_steps(steps, seconds, STEPS.per_draw)
    for name in ("overhead", "adversarial_overhead", "per_flop", "per_byte"):
        assert getattr(found, name) == pytest.approx(getattr(STEPS, name), rel=1e-6)


def test_factors_are_not_negative():
    steps = make_steps()
    # Faster with adversarial training: the best factor of it is zero.
    seconds = [1e-3 / (1 + step.adversarial) + 1e-11 * step.flops for step in steps]
    found = fit_steps(steps, seconds, 0.0)
    assert found.adversarial_overhead == 0
    assert min(found.overhead, found.per_flop, found.per_byte) >= 0


def test_fit_weighs_relative_errors():
    # Two equal steps, of 1 and 2 s: relative squares are least at 1.2 s, not at 1.5.
    step = make_steps()[0]
    found = fit_steps([step, step], [1.0, 2.0], 0.0)
    assert found.seconds(step) == pytest.approx(1.2)


def test_parts_are_the_seconds():
    step = make_steps()[-1]
    parts = STEPS.parts(step)
    assert parts["overhead"] == pytest.approx(3e-3)
    assert parts["draws"] == 3e-9 * step.draws
    assert parts["bytes"] + parts["optimizer"] == pytest.approx(1e-10 * step.bytes)
    assert STEPS.seconds(step) == sum(parts.values())


def test_network_is_found_from_two_processes():
    network = Network(5e-5, 2e9)
    # Two messages of half of the array each.
    seconds = {n: 2 * 5e-5 + n / 2e9 for n in (400, 40_000, 4_000_000)}
    found = fit_network(seconds)
    assert found.latency == pytest.approx(network.latency)
    assert found.bandwidth == pytest.approx(network.bandwidth)
    step = make_steps()[0].divided(2)
    n_bytes = 4 * (step.parameters + 7)
    assert found.seconds(step) == pytest.approx(2 * 5e-5 + n_bytes / 2e9)


def test_one_process_sends_nothing():
    assert Network(1.0, 1.0).seconds(make_steps()[0]) == 0


def test_teacher_interpolates_and_continues():
    assert TEACHER(500) == 0.5
    assert TEACHER(10_000) == 8.0
    assert TEACHER(15_000) == 10.5
    assert TEACHER(1_020_000) == pytest.approx(13 + 500)
    assert TEACHER(1_020_000, most=True) == pytest.approx(13 + 2000)
    assert TEACHER(15_000, most=True) == 10.5


@pytest.mark.parametrize("n_rows", [1000, 20_000, 3_000_000])
@pytest.mark.parametrize("taught", [False, True])
def test_training_is_its_steps_and_rows(n_rows, taught):
    model = make_model()
    epochs = resolve_max_epochs("auto", n_rows, 128, taught=taught, large_steps=True)
    step = model.step(n_rows, 128, adversarial=taught)
    steps = epochs * math.ceil(n_rows / 128) * STEPS.seconds(step)
    rows = n_rows * (1e-6 + 2e-6 + epochs * 1e-7)
    assert model.training(n_rows, taught=taught) == pytest.approx(steps + rows)


def test_the_default_has_half_of_a_minibatch_in_the_bound():
    step = make_model().step(10**6, 128)
    assert (step.bound_rows, step.unlabelled) == (64, 128)


def test_processes_that_cost_nothing_are_fully_efficient():
    ideal = StepModel(0.0, 0.0, 1e-11, 0.0, 0.0)
    model = make_model(steps=ideal, network=Network(0.0, math.inf))
    # 8192 unlabelled rows, 25 labelled ones: 16 processes have nearly equal shares.
    assert model.efficiency(10**7, 8192, 16) == pytest.approx(1, abs=0.02)


def test_overhead_limits_the_speedup():
    fixed = StepModel(1e-3, 0.0, 0.0, 0.0, 0.0)
    model = make_model(steps=fixed, network=Network(0.0, math.inf))
    assert model.efficiency(10**7, 8192, 16) == pytest.approx(1 / 16)


def test_every_process_draws_for_the_whole_minibatch():
    step = make_model().step(10**6, 1024)
    assert step.divided(8).draws == step.draws == (1024 + 100) * 60


@pytest.fixture
def report(monkeypatch, capsys):
    """Return a function that prints the stored results, and draws no figures."""
    for plot in ("plot_steps", "plot_time"):
        monkeypatch.setattr(scaling_report, plot, lambda *args: None)

    def run(*options):
        scaling.main(["--report", *options])
        return capsys.readouterr().out

    return run


def test_report_of_another_network(report):
    text = report("--latency", "1e-5", "--bandwidth", "1e10")
    assert "| a message of the all-reduce | 10 microseconds |" in text
    assert "| bandwidth | 10.0 GB per second |" in text


def test_tables_of_the_readme_are_those_of_the_report(report):
    readme = (ROOT / "benchmarks" / "README.md").read_text()
    lines = [line for line in report().splitlines() if line]
    assert len(lines) > 100
    assert [line for line in lines if line not in readme] == []


def test_extrapolated_tables_of_the_guide_are_those_of_the_report(report):
    guide = (ROOT / "docs" / "scaling.md").read_text()
    rows = re.findall(r"^\| (?:10\^\d|1,024|16,384) \|.*", guide, re.M)
    assert len(rows) == 12 + 8
    text = report()
    assert [row for row in rows if row not in text] == []
