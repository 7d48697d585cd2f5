"""Shapley values (Shapley 1953): the part of each player in the outcome of a game, exact or by sampled permutations.

A coalition is a row of booleans, one a player. Exactly, a player's value is the weighted mean, over all coalitions
without it, of what it adds; that takes the outcome of each of the 2^m coalitions of m players. Sampled, it is the mean
of what it adds to those before it in a random order, each order being followed by its reverse (antithetic pairs:
Mitchell, Cooper, Frank & Holmes 2022, "Sampling permutations for Shapley value estimation"). Either way the values sum
to the difference of the two outcomes that the caller gives, whatever lies between.
"""

from collections.abc import Callable, Iterator
from math import comb
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Coalitions = npt.NDArray[np.bool_]
# The outcomes (n,) of coalitions (n, players).
Game = Callable[[Coalitions], Floats]
Keys = npt.NDArray[np.uint64]

# Up to so many players all coalitions are asked for.
MOST_EXACT = 12
# Coalitions of so many players have a number each, by which those that come again are known.
MOST_NUMBERED = 63
# So many cells of coalitions are made at once.
MOST_CELLS = 1 << 18


class Ends(NamedTuple):
    """The outcome without any player, and with all of them."""

    empty: float
    full: float


class Values(NamedTuple):
    """A value a player; where they were sampled also the standard error of each, over the pairs of orders."""

    values: Floats
    errors: Floats | None = None


class Sampling(NamedTuple):
    """How many pairs of orders are drawn: `first`, then half as many again and again, up to `most`, until no standard
    error is above `error`.
    """

    first: int
    most: int
    error: float


def shapley(game: Game, players: int, ends: Ends, sampling: Sampling, seed: int = 0) -> Values:
    """The values of a game of so many players; orders are drawn by `seed`, so the same game has the same values."""
    if players <= MOST_EXACT:
        return Values(exact(game, players, ends))
    return sampled(game, players, ends, sampling, seed)


def coalitions(players: npt.NDArray[np.integer], pairs: int) -> float:
    """How many coalitions games of so many players ask for at most, all together, with so many pairs of orders."""
    every = 2.0 ** np.minimum(players, 1000)
    drawn = 2.0 * pairs * (players - 1)
    return float(np.where(players <= MOST_EXACT, every, np.minimum(every, drawn)).sum())


def exact(game: Game, players: int, ends: Ends) -> Floats:
    """The values (players,), from the outcomes of all coalitions.

    With the outcomes as a cube of a side a player, what a player adds is the difference of two halves of the cube.
    """
    if not players:
        return np.zeros(0)
    keys = np.arange(1 << players, dtype=np.uint64)
    outcomes = np.empty(len(keys))
    outcomes[0], outcomes[-1] = ends
    outcomes[1:-1] = _outcomes(game, keys[1:-1], players)
    sizes = np.bitwise_count(keys[: 1 << (players - 1)])
    weights = np.array([1 / (players * comb(players - 1, size)) for size in range(players)])[sizes]
    halves = [outcomes.reshape(-1, 2, 1 << player) for player in range(players)]
    return np.array([weights @ (half[:, 1] - half[:, 0]).ravel() for half in halves])


def sampled(game: Game, players: int, ends: Ends, sampling: Sampling, seed: int) -> Values:
    """The values (players,) from pairs of orders."""
    rng = np.random.default_rng(seed)
    known = _Known(game, players) if players <= MOST_NUMBERED else None
    sums, squares, pairs = np.zeros(players), np.zeros(players), 0
    more = sampling.first
    while True:
        for orders in _orders(rng, players, more):
            outcomes = known.of(orders) if known else _along(game, orders)
            steps = np.diff(outcomes, axis=1, prepend=ends.empty, append=ends.full)
            added = np.empty_like(steps)
            np.put_along_axis(added, orders, steps, axis=1)
            means = added.reshape(-1, 2, players).mean(axis=1)
            sums += means.sum(axis=0)
            squares += (means**2).sum(axis=0)
        pairs += more
        values = sums / pairs
        errors = np.sqrt(np.maximum(squares / pairs - values**2, 0) / (pairs - 1))
        more = min(-(-pairs // 2), sampling.most - pairs)
        if errors.max() <= sampling.error or more <= 0:
            return Values(values, errors)


def _orders(rng: np.random.Generator, players: int, pairs: int) -> Iterator[npt.NDArray[np.intp]]:
    """Orders (2 n, players) of all players, each before its reverse, some pairs at a time."""
    some = max(1, MOST_CELLS // (2 * players))
    for start in range(0, pairs, some):
        alike = np.tile(np.arange(players), (min(some, pairs - start), 1))
        drawn = rng.permuted(alike, axis=1)
        yield np.stack([drawn, drawn[:, ::-1]], axis=1).reshape(-1, players)


class _Known:
    """The outcomes of coalitions that were asked for: each is asked for once."""

    def __init__(self, game: Game, players: int) -> None:
        self._game, self._players = game, players
        self._keys, self._outcomes = np.zeros(0, np.uint64), np.zeros(0)

    def of(self, orders: npt.NDArray[np.intp]) -> Floats:
        """The outcome (n, players - 1) after each player but the last of each order."""
        keys = np.cumsum(np.uint64(1) << orders[:, :-1].astype(np.uint64), axis=1, dtype=np.uint64)
        asked, places = np.unique(keys, return_inverse=True)
        new = np.setdiff1d(asked, self._keys, assume_unique=True)
        if len(new):
            keys_then = np.concatenate([self._keys, new])
            outcomes = np.concatenate([self._outcomes, _outcomes(self._game, new, self._players)])
            order = np.argsort(keys_then)
            self._keys, self._outcomes = keys_then[order], outcomes[order]
        found: Floats = self._outcomes[np.searchsorted(self._keys, asked)][places.reshape(keys.shape)]
        return found


def _outcomes(game: Game, keys: Keys, players: int) -> Floats:
    """The outcomes of numbered coalitions, whose bits are their players; some at a time."""
    bits = np.arange(players, dtype=np.uint64)
    some = max(1, MOST_CELLS // players)
    outcomes = np.empty(len(keys))
    for start in range(0, len(keys), some):
        asked = (keys[start : start + some, None] >> bits) & np.uint64(1)
        outcomes[start : start + some] = game(asked.astype(np.bool_))
    return outcomes


def _along(game: Game, orders: npt.NDArray[np.intp]) -> Floats:
    """The outcome (n, players - 1) after each player but the last of each order; of so many players hardly a coalition
    comes again.
    """
    count, players = orders.shape
    places = np.empty_like(orders)
    np.put_along_axis(places, orders, np.arange(players)[None], axis=1)
    outcomes = np.empty((count, players - 1))
    flat = outcomes.reshape(-1)
    some = max(1, MOST_CELLS // players)
    for start in range(0, flat.size, some):
        which, size = np.divmod(np.arange(start, min(start + some, flat.size)), players - 1)
        flat[start : start + some] = game(places[which] <= size[:, None])
    return outcomes
