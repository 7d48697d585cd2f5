"""Shapley values of games: by the definition, by Shapley's axioms, and sampled."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.prediction.shapley import MOST_EXACT, Coalitions, Ends, Floats, Game, Sampling, coalitions, exact, sampled

# Sums of a thousand 64-bit floats near one.
TOLERANCE = 1e-12


class Table:
    """A game whose outcomes are looked up; it counts how often it is asked for each coalition."""

    def __init__(self, outcomes: Floats) -> None:
        self.outcomes, self.players = outcomes, len(outcomes).bit_length() - 1
        self.asked: list[int] = []

    def __call__(self, asked: Coalitions) -> Floats:
        keys = asked @ (1 << np.arange(self.players))
        self.asked += keys.tolist()
        found: Floats = self.outcomes[keys]
        return found

    @property
    def ends(self) -> Ends:
        return Ends(float(self.outcomes[0]), float(self.outcomes[-1]))

    def values(self) -> Floats:
        return exact(self, self.players, self.ends)


def tables(most: int = 6) -> st.SearchStrategy[Table]:
    def drawn(players: int, seed: int) -> Table:
        return Table(np.random.default_rng(seed).normal(0, 1, 1 << players))

    return st.builds(drawn, st.integers(1, most), st.integers(0, 1 << 32))


def by_definition(table: Table) -> Floats:
    """What each player adds to those before it, averaged over every order there is."""
    added = np.zeros(table.players)
    orders = list(permutations(range(table.players)))
    for order in orders:
        key = 0
        for player in order:
            added[player] += table.outcomes[key | 1 << player] - table.outcomes[key]
            key |= 1 << player
    return added / len(orders)


@given(tables())
def test_exact_values_are_the_mean_over_all_orders(table: Table) -> None:
    """Another formula, which knows no weights."""
    assert table.values() == pytest.approx(by_definition(table), abs=TOLERANCE)


@given(tables(8))
def test_the_values_sum_to_the_outcome(table: Table) -> None:
    """Efficiency."""
    assert table.values().sum() == pytest.approx(table.ends.full - table.ends.empty, abs=TOLERANCE)


@given(tables(7), st.data())
def test_a_player_that_changes_nothing_has_nothing(table: Table, data: st.DataObject) -> None:
    """Dummy: exactly nothing."""
    player = data.draw(st.integers(0, table.players - 1))
    keys = np.arange(len(table.outcomes))
    without = Table(table.outcomes[keys & ~(1 << player)])

    assert without.values()[player] == 0


@given(tables(7), st.data())
def test_players_that_do_the_same_have_the_same(table: Table, data: st.DataObject) -> None:
    """Symmetry: the outcome hangs on how many of the two are there."""
    one, other = data.draw(st.lists(st.integers(0, table.players - 1), min_size=2, max_size=2))
    keys = np.arange(len(table.outcomes))
    swapped = (keys & ~(1 << one | 1 << other)) | (keys >> one & 1) << other | (keys >> other & 1) << one
    values = Table(table.outcomes + table.outcomes[swapped]).values()

    assert values[one] == pytest.approx(values[other], abs=TOLERANCE)


@given(tables(5), st.integers(0, 1 << 32))
def test_the_values_of_a_sum_are_the_sums(table: Table, seed: int) -> None:
    """Linearity."""
    other = Table(np.random.default_rng(seed).normal(0, 1, len(table.outcomes)))
    both = Table(table.outcomes + 2 * other.outcomes)

    assert both.values() == pytest.approx(table.values() + 2 * other.values(), abs=TOLERANCE)


def test_no_players_have_no_values() -> None:
    """Nobody is asked for anything."""
    nobody = Table(np.array([0.5]))

    assert (nobody.values().size, nobody.asked) == (0, [])


@given(tables(8), st.integers(0, 1 << 16))
def test_every_coalition_is_asked_for_once(table: Table, seed: int) -> None:
    """But for the two whose outcome is known, whether all are asked for or some, again and again."""
    table.values()
    between = list(range(1, len(table.outcomes) - 1))
    assert sorted(table.asked) == between

    table.asked.clear()
    sampled(table, table.players, table.ends, Sampling(3, 40, 0.0), seed)
    assert len(table.asked) == len(set(table.asked))
    assert set(table.asked) <= set(between)


def wide(players: int, size: int = 3) -> tuple[Game, Ends, Floats]:
    """A game of any number of players, and its values: a part of each alone, and of groups, which share theirs."""
    rng = np.random.default_rng(players)
    groups = players // size
    alone, together = rng.normal(0, 0.1, players), rng.normal(0, 0.5, groups)

    def game(asked: Coalitions) -> Floats:
        whole = asked[:, : groups * size].reshape(len(asked), groups, size).all(axis=2)
        found: Floats = asked @ alone + whole @ together
        return found

    values = alone + np.append(np.repeat(together / size, size), np.zeros(players % size))
    return game, Ends(0.0, float(alone.sum() + together.sum())), values


@pytest.mark.parametrize("players", [1, 2, 13, 63, 64, 300])
def test_sampled_values_sum_to_the_outcome(players: int) -> None:
    """By construction, however few orders are drawn and however many players there are."""
    game, ends, _ = wide(players)
    values, _ = sampled(game, players, ends, Sampling(2, 2, 0.0), 0)

    assert values.sum() == pytest.approx(ends.full - ends.empty, abs=1e-10)


@pytest.mark.parametrize("players", [6, 12, 66])
def test_sampled_values_are_as_far_off_as_their_errors_say(players: int) -> None:
    """Of 200 estimates the distances from the exact values have, in standard errors, mean zero and deviation one.

    Within a tenth, where chance leaves 200 times six values 2 %.
    """
    game, ends, values = wide(players)
    runs = [sampled(game, players, ends, Sampling(64, 64, 0.0), seed) for seed in range(200)]
    distances = np.array([(found - values) / errors for found, errors in runs if errors is not None])

    assert abs(distances.mean()) < 0.1
    assert distances.std() == pytest.approx(1, abs=0.1)


def test_a_reversed_order_makes_up_for_its_first() -> None:
    """Antithetic pairs: of a game of pairs of players each order and its reverse give the values to the last digit."""
    game, ends, values = wide(14, size=2)
    found, errors = sampled(game, 14, ends, Sampling(2, 2, 0.0), 7)

    assert found == pytest.approx(values, abs=TOLERANCE)
    assert errors == pytest.approx(np.zeros(14), abs=1e-7)


def test_orders_are_drawn_until_the_error_is_small_enough() -> None:
    """And no more; at most as many as are allowed."""
    rng = np.random.default_rng(3)
    table = Table(rng.normal(0, 0.3, 1 << 13))
    errors = []
    for most, error in ((4, 0.0), (4000, 0.05), (4000, 0.02)):
        table.asked.clear()
        found = sampled(table, 13, table.ends, Sampling(4, most, error), 0).errors
        assert found is not None
        errors.append((found.max(), len(table.asked)))

    assert errors[1][0] <= 0.05
    assert errors[2][0] <= 0.02
    assert errors[0][1] < errors[1][1] < errors[2][1] < 1 << 13


def test_what_is_reckoned_is_what_is_asked_for() -> None:
    """At most, and to the coalition where all are asked for."""
    for players in (1, 3, MOST_EXACT):
        table = Table(np.random.default_rng(0).normal(0, 1, 1 << players))
        table.values()
        assert coalitions(np.array([players]), 9) == len(table.asked) + 2
    assert coalitions(np.array([3, 20, 13]), 100) == 8 + 200 * 19 + 200 * 12
    assert coalitions(np.array([13]), 5000) == 1 << 13
