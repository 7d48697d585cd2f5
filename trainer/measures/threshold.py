"""The threshold of a two-class model: from which probability on a row is taken for the positive class."""

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from models.evaluation import AtThreshold
from trainer.arrays import Array
from trainer.measures.scores import DIGITS, Vector, count, precision_recall

GRAMMAR = "f1, recall@precision=0.8 or cost=5:1"


@dataclass(frozen=True)
class Rule:
    """What the threshold is to reach on the validation rows.

    `f1`: the highest F1. `recall@precision`: the highest recall with at least this `precision`. `cost`: the lowest
    cost, where a positive row that is `missed` costs so much, and a negative one that is called positive a
    `false_alarm`.
    """

    kind: Literal["f1", "recall@precision", "cost"]
    precision: float = 0.0
    missed: float = 1.0
    false_alarm: float = 1.0

    @classmethod
    def parse(cls, text: str) -> "Rule":
        """Read a rule.

        :raises ValueError: it is none of them.
        """
        number = r"(\d*\.?\d+)"
        if text == "f1":
            return cls("f1")
        if (match := re.fullmatch(rf"recall@precision={number}", text)) and 0 < float(match[1]) <= 1:
            return cls("recall@precision", precision=float(match[1]))
        if (match := re.fullmatch(rf"cost={number}:{number}", text)) and float(match[1]) and float(match[2]):
            return cls("cost", missed=float(match[1]), false_alarm=float(match[2]))
        raise ValueError(f"should be {GRAMMAR}")


@dataclass(frozen=True)
class Chosen:
    """A threshold. `shortfall` is the highest precision there is, where that is below the one that was asked for."""

    threshold: float
    shortfall: float | None = None


def choose(rule: Rule, scores: Array, positive: npt.NDArray[np.bool_], weights: Vector) -> Chosen:
    """The threshold that serves the rule best on rows with these probabilities (n,) of the positive class.

    It lies half-way between two probabilities; of several that serve alike, the nearest to a half.
    """
    order = np.argsort(-scores, kind="stable")
    ordered, counted, is_positive = scores[order].astype(np.float64), weights[order], positive[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    right = np.append(0.0, np.cumsum(counted * is_positive)[last])
    called = np.append(0.0, np.cumsum(counted)[last])
    cuts = _between(np.append(ordered[last], 0.0), np.append(1.0, ordered[last]))
    total = float(right[-1])
    precision = np.divide(right, called, out=np.zeros_like(right), where=called > 0)
    match rule.kind:
        case "f1":
            merit = 2 * right / np.maximum(called + total, np.finfo(np.float64).tiny)
        case "cost":
            merit = -(rule.missed * (total - right) + rule.false_alarm * (called - right))
        case "recall@precision":
            reached = precision >= rule.precision - 1e-12
            if not reached.any():
                best = float(precision.max())
                return Chosen(_nearest_to_half(cuts, precision), round(best, DIGITS))
            merit = np.where(reached, right, -1.0)
    return Chosen(_nearest_to_half(cuts, merit))


def _between(below: Vector, above: Vector) -> Vector:
    """Half-way between neighbours, in six digits where these tell them apart."""
    middle = (below + above) / 2
    short = np.round(middle, DIGITS)
    return np.where((below < short) & (short <= above), short, np.where(middle > below, middle, above))


def _nearest_to_half(cuts: Vector, merit: Vector) -> float:
    best = cuts[merit >= merit.max() - 1e-12]
    return float(best[np.argmin(np.abs(best - 0.5))])


def at_threshold(threshold: float, scores: Array, positive: npt.NDArray[np.bool_], weights: Vector) -> AtThreshold:
    """What the rows with these probabilities (n,) of the positive class say of a threshold."""
    called = scores >= threshold
    right = float(weights[called & positive].sum())
    precision, recall, f1 = precision_recall(right, float(weights[called].sum()), float(weights[positive].sum()))
    return AtThreshold(predicted=count(weights[called].sum()), precision=precision, recall=recall, f1=f1)
