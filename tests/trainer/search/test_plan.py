from dataclasses import replace

import pytest

from tests.trainer.search.conftest import finished
from trainer.search.plan import Plan, ranked, usual_stage
from trainer.search.space import DEFAULT, Range

PLAN = Plan({"learning_rate": Range("log", 1e-4, 1.0)}, seed=0, stage=20, epochs=90)


def test_a_stage_is_drawn_from_the_hull_of_the_best_fifth_before_it() -> None:
    """Of 20 trials the four best; of 40, eight; within a stage nothing moves."""
    rates = [10 ** (-4 + index / 10) for index in range(40)]
    trials = {
        index: finished(index, (abs(index - 12) + 1.0,), values={"learning_rate": rate})
        for index, rate in enumerate(rates)
    }
    first = {index: trials[index] for index in range(20)}

    assert PLAN.box_of(5, {}) == PLAN.box
    assert PLAN.box_of(19, first) == PLAN.box
    assert PLAN.box_of(20, first) == {"learning_rate": Range("log", rates[10], rates[13])}
    assert PLAN.box_of(39, trials) == PLAN.box_of(20, first)
    assert PLAN.box_of(40, trials) == {"learning_rate": Range("log", rates[8], rates[15])}


def test_a_trial_is_held_against_what_was_over_before_it_could_begin() -> None:
    """Stages of 20, a window of six: trial 10 may begin when 0 to 4 are over, and knows of no other."""
    trials = {index: finished(index) for index in range(20)}

    assert PLAN.window == 6
    assert PLAN.open_trials({}, 60) == list(range(6))
    assert PLAN.open_trials({index: trials[index] for index in (0, 1, 2, 3, 4, 7)}, 60) == [5, 6, 8, 9, 10]
    assert [trial.index for trial in PLAN.references(10, trials)] == [0, 1, 2, 3, 4]
    assert [trial.index for trial in PLAN.references(22, trials)] == list(range(20))


def test_a_stage_opens_when_the_one_before_is_over() -> None:
    """Otherwise its box would hang on who was quick."""
    trials = {index: finished(index) for index in range(20) if index != 18}

    assert PLAN.open_trials(trials, 60) == [18]
    assert PLAN.open_trials({**trials, 18: finished(18)}, 60) == list(range(20, 26))


@pytest.mark.parametrize(("epochs", "rungs"), [(90, (10, 30)), (100, (12, 34)), (9, (3,)), (4, (2,)), (1, ())])
def test_rungs_are_a_ninth_and_a_third_of_the_epochs(epochs: int, rungs: tuple[int, ...]) -> None:
    assert replace(PLAN, epochs=epochs).rungs == rungs


def test_the_best_third_goes_on() -> None:
    """Held against nine that came to the rung, a trial as good as the third of them stays and a worse one goes."""
    before = [finished(index, (index + 1.0,) * 30) for index in range(9)]

    assert PLAN.goes_on([9.0, 3.0] + [9.0] * 28, before)
    assert not PLAN.goes_on([3.1] * 30, before)
    assert PLAN.goes_on([99.0] * 30, before[:4])


def test_who_was_stopped_before_a_rung_did_not_come_there() -> None:
    """But who ended by patience did, with what it had; who diverged is behind all."""
    stopped = [finished(index, (0.1,) * 10, "stopped") for index in range(9)]
    patient = [finished(10 + index, (0.5,) * 15, "patience") for index in range(5)]
    diverged = [finished(20 + index, (0.1,), "diverged") for index in range(6)]

    assert PLAN.goes_on([0.5] * 30, stopped + patient)
    assert not PLAN.goes_on([0.6] * 30, stopped + patient)
    assert PLAN.goes_on([0.6] * 30, patient[:1] + diverged[:4])


def test_luck_does_not_set_the_bar() -> None:
    """A trial whose training rows told that its validation rows were too kind counts with what it came to."""
    lucky = [replace(finished(index, (0.0,) * 30), log_loss=1.2) for index in range(5)]
    sound = [finished(9, (0.3,) * 30)]

    assert PLAN.goes_on([0.4] * 30, lucky + sound)


def test_a_stopped_trial_never_leads() -> None:
    trials = [finished(0, (0.1,), "stopped"), finished(1, (0.5,)), finished(2, (0.5,)), finished(3, (), "diverged")]

    assert [trial.index for trial in ranked(trials)] == [1, 2, 0, 3]


def test_the_first_trial_is_what_fit_would_do() -> None:
    """Where the space holds it."""
    plan = Plan(DEFAULT, 0, 20, 90, first={"learning_rate": 0.003})

    assert plan.values_of(0, {}) == {"learning_rate": 0.003}
    assert plan.values_of(1, {}) != plan.values_of(0, {})


@pytest.mark.parametrize(("trials", "stage"), [(10, 8), (60, 15), (500, 25)])
def test_a_stage_is_a_quarter_of_all_within_bounds(trials: int, stage: int) -> None:
    assert usual_stage(trials) == stage
