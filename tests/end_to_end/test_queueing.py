"""The simulation of docs/scaling.md against what queueing theory knows exactly."""

import math

import pytest

from benchmarks.queueing import Cost, Fleet, closed_loop, open_loop

SECOND = 1.0


@pytest.mark.parametrize("load", [0.5, 0.7])
def test_one_worker_that_takes_one_by_one_is_m_d_1(load: float) -> None:
    """Mean time by Pollaczek and Khinchine; 40 000 requests are within 5 % of it."""
    seen = open_loop(Cost(0.0, SECOND, 1), 1, load, 40_000)

    assert seen.mean == pytest.approx(SECOND + load * SECOND / (2 * (1 - load)), rel=0.05)
    assert seen.busy == pytest.approx(load, rel=0.03)
    assert seen.together == 1


def test_exponential_turns_are_m_m_1() -> None:
    """The time in the system is exponential: mean and 99th percentile."""
    seen = open_loop(Cost(0.0, SECOND, 1, exponential=True), 1, 0.6, 60_000)

    assert seen.mean == pytest.approx(SECOND / 0.4, rel=0.06)
    assert seen.quantile(0.99) == pytest.approx(math.log(100) * SECOND / 0.4, rel=0.12)


def test_the_least_busy_lies_between_one_queue_and_chance() -> None:
    """Two workers with one queue are M/M/2 (Erlang C); two queues by chance are twice M/M/1."""
    cost, load = Cost(0.0, SECOND, 1, exponential=True), 0.7
    means = [open_loop(cost, 2, 2 * load, 30_000, policy).mean for policy in ("least", "two", "turns", "random")]

    assert SECOND / (1 - load**2) < means[0] < means[2] < means[3]
    assert means[0] == pytest.approx(means[1], rel=0.2)
    assert means[3] == pytest.approx(SECOND / (1 - load), rel=0.08)


def test_what_shares_a_turn_is_answered_sooner() -> None:
    """As soon as there is more than a request at a time; beyond what turns of one can answer, turns of many go on."""
    one, many = Cost(3e-5, 2e-5, 1), Cost(3e-5, 2e-5, 32)
    for load in (0.4, 0.9):
        apart, shared = (open_loop(cost, 1, load * one.most, 10_000) for cost in (one, many))
        assert shared.mean < apart.mean
        assert shared.busy < apart.busy
    beyond = open_loop(many, 1, 1.5 * one.most, 10_000)
    assert beyond.rate == pytest.approx(1.5 * one.most, rel=0.05)
    assert beyond.busy < 1


def test_a_closed_loop_is_as_fast_as_its_slowest_part() -> None:
    """One connection waits for all parts in turn; many keep the slowest busy, whose turns are full."""
    cost = Cost(3e-5, 2e-5)

    assert closed_loop(cost, [1], 0.5, 1e-5, 4e-5).rate == pytest.approx(1e4, rel=0.01)
    full = closed_loop(cost, [32], 0.5, 1e-6)
    assert full.together > 16
    assert full.rate == pytest.approx(full.together / (3e-5 + 2e-5 * full.together), rel=0.02)
    assert closed_loop(cost, [64], 0.5, 1e-4).rate == pytest.approx(1e4, rel=0.02)
    # Workers that do not know of each other are as fast together as alone.
    assert closed_loop(Cost(3e-5, 2e-5, 1), [8, 8], 0.5).rate == pytest.approx(2 / 5e-5, rel=0.01)


def test_a_fleet_loses_what_is_sent_to_the_dead() -> None:
    """The share of the time in which the balancer believes in a replica that is gone."""
    fleet = Fleet(100, 50, between_failures=1000, unnoticed=10, starting=5)

    assert fleet.run(100_000) == pytest.approx(10 / 1010, rel=0.05)
    assert Fleet(100, 50).run(100) == 0
    assert Fleet(100, 110).run(100) == pytest.approx(10 / 110)


@pytest.mark.parametrize(("drain", "lost"), [(10, 0), (5, 0), (0, 100 * 5), (2, 100 * 3)])
def test_an_update_loses_what_comes_after_the_drain(drain: float, lost: float) -> None:
    """As many replicas as there are, each for so long as nobody has noticed that it has ended."""
    fleet = Fleet(100, 50, unnoticed=5, starting=8)
    fleet.update(surge=10, drain=drain)
    share = fleet.run(200)

    assert fleet.updated == 10 * 8
    # Of 105 to 115 replicas, each has its share of the load.
    assert share * 200 == pytest.approx(lost * 50 / 110 / 50, rel=0.06)
    assert max(busy for _, busy in fleet.busiest) <= 0.5
