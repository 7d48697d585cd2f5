"""What answers let expect of themselves: sums from which a window's expected accuracy and log-loss are made."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models.performance import Sums
from service.rows.tensors import Probabilities

SMALLEST = np.finfo(np.float32).tiny


def expected_sums(probabilities: Probabilities, decided: Sequence[int]) -> Sums:
    """The sums over rows with these probabilities (n, classes), answered with the classes at these places (n,)."""
    chosen = probabilities[np.arange(len(probabilities)), np.array(decided, np.intp)]
    entropies = entropy(probabilities)
    totals = (chosen.sum(), chosen @ chosen, entropies.sum(), entropies @ entropies)
    return Sums(*map(float, totals))


def entropy(probabilities: Probabilities) -> npt.NDArray[np.float32]:
    """-Σ p log p of each row, in nats: the log-loss to expect of it."""
    # A sum over few columns takes NumPy twice the time.
    total: npt.NDArray[np.float32] = np.einsum("rc,rc->r", probabilities, -np.log(np.maximum(probabilities, SMALLEST)))
    return total
