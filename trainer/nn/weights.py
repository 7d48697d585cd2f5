"""How much each row of a batch counts."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.arrays import Array


@dataclass(frozen=True, eq=False)
class BatchWeights:
    """The weights of a batch's rows, in its loss and in its statistics alike.

    `shares` (n,) sum to one; where all are equal, `equal_share` is what each is. `ones` (n,) is there to sum with.
    `total` is how many rows the weights stand for: a row of weight 2 is that row twice.
    """

    shares: Array
    ones: Array
    total: float
    equal_share: np.floating[Any] | None

    @classmethod
    def equal(cls, rows: int, dtype: npt.DTypeLike = np.float32) -> "BatchWeights":
        """Every row counts once."""
        shares = np.full(rows, 1.0 / rows, dtype)
        return cls(shares, np.ones_like(shares), rows, shares[0])

    @classmethod
    def of(cls, weights: Array) -> "BatchWeights":
        """One weight (n,) a row, none negative, at least one positive."""
        total = float(weights.sum(dtype=np.float64))
        return cls((weights / total).astype(weights.dtype), np.ones_like(weights), total, None)

    @property
    def bessel(self) -> float:
        """What turns the variance within the batch into the unbiased one."""
        # Weights that add up to less than two rows know nothing of a variance; two is the least that does.
        total = max(self.total, 2.0)
        return total / (total - 1.0)
