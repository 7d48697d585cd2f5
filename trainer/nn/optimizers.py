"""Optimizers: update rules over one flat vector of parameters.

Each takes the gradient apart while it works, so that a step needs no memory beside what the rule itself remembers:
`grads` holds nothing of use after `step`. Weight decay pulls on the first `decayed` values only, the weights of the
linear layers; gamma, beta and biases are left alone. It is added to the gradient (L2), but for AdamW.
"""

import math

import numpy as np

from trainer.arrays import Array

# Values that are worked on at once: few enough for the cache, and few enough to make a copy of.
BLOCK, SMALL_BLOCK = 65536, 8192


class Optimizer:
    """Updates `values` in place from `grads`, both flat and of one shape.

    A rule has a `beta1` if it remembers gradients and a `beta2` if it remembers their squares; None takes its own.
    """

    memories = 0
    beta1: float | None = None
    beta2: float | None = None

    def __init__(
        self,
        values: Array,
        grads: Array,
        *,
        beta1: float | None = None,
        beta2: float | None = None,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        decayed: int | None = None,
    ) -> None:
        self.values, self.grads = values, grads
        if beta1 is not None:
            self.beta1 = beta1
        if beta2 is not None:
            self.beta2 = beta2
        self.epsilon, self.weight_decay = epsilon, weight_decay
        self.decayed = len(values) if decayed is None else decayed
        self.steps = 0
        self.memory = tuple(np.zeros_like(values) for _ in range(self.memories))
        self._blocks = [
            tuple(vector[start : start + BLOCK] for vector in (values, grads, *self.memory))
            for start in range(0, len(values), BLOCK)
        ]

    def step(self, learning_rate: float) -> None:
        """One update against the gradient."""
        self.begin(learning_rate)
        self._update(learning_rate)

    def begin(self, learning_rate: float) -> None:
        """What comes before the rule itself: the count of steps, and weight decay."""
        self.steps += 1
        if self.weight_decay:
            self._decay(learning_rate)

    def _decay(self, learning_rate: float) -> None:
        for start in range(0, self.decayed, SMALL_BLOCK):
            block = slice(start, min(start + SMALL_BLOCK, self.decayed))
            self.grads[block] += self.weight_decay * self.values[block]

    def _update(self, learning_rate: float) -> None:
        raise NotImplementedError


class GradientDescent(Optimizer):
    """w = w - rate g."""

    def _update(self, learning_rate: float) -> None:
        self.grads *= learning_rate
        self.values -= self.grads


class Momentum(Optimizer):
    """v = beta1 v + g, w = w - rate v (Polyak 1964): the steps of the past, each beta1 times weaker than the next."""

    memories = 1
    beta1 = 0.9

    def _update(self, learning_rate: float) -> None:
        (velocity,) = self.memory
        velocity *= self.beta1
        velocity += self.grads
        np.multiply(velocity, learning_rate, out=self.grads)
        self.values -= self.grads


class Nesterov(Momentum):
    """v = beta1 v + g, w = w - rate (g + beta1 v): momentum that looks ahead (Sutskever et al. 2013)."""

    def _update(self, learning_rate: float) -> None:
        (velocity,) = self.memory
        velocity *= self.beta1
        velocity += self.grads
        # g + beta1 v is taken in two pulls, so that the product needs no vector of its own.
        self.grads *= learning_rate
        self.values -= self.grads
        np.multiply(velocity, learning_rate * self.beta1, out=self.grads)
        self.values -= self.grads


class RMSprop(Optimizer):
    """s = beta2 s + (1 - beta2) g², w = w - rate g / (√s + epsilon) (Tieleman & Hinton 2012)."""

    memories = 2  # s, and room for the root.
    beta2 = 0.99

    def _update(self, learning_rate: float) -> None:
        square, root = self.memory
        np.multiply(self.grads, self.grads, out=root)
        root *= 1.0 - self.beta2
        square *= self.beta2
        square += root
        np.sqrt(square, out=root)
        root += self.epsilon
        self.grads /= root
        self.grads *= learning_rate
        self.values -= self.grads


class Adam(Optimizer):
    """Momentum over RMSprop, both corrected for their start at zero (Kingma & Ba 2015, Algorithm 1)."""

    memories = 2
    beta1 = 0.9
    beta2 = 0.999

    def scalars(self, learning_rate: float) -> tuple[float, float]:
        """The step size and the epsilon that belong to sums without the factors 1 - beta1 and 1 - beta2.

        With M = Σ beta1ᵗ⁻ⁱ gᵢ and V = Σ beta2ᵗ⁻ⁱ gᵢ² the rule's m̂ is a M and its v̂ is b V, so that
        rate m̂ / (√v̂ + epsilon) = (rate a / √b) · M / (√V + epsilon / √b): two products a step less.
        """
        a = (1.0 - self.beta1) / (1.0 - self.beta1**self.steps)
        root_b = math.sqrt((1.0 - self.beta2) / (1.0 - self.beta2**self.steps))
        return learning_rate * a / root_b, self.epsilon / root_b

    def _update(self, learning_rate: float) -> None:
        rate, epsilon = self.scalars(learning_rate)
        for values, grads, mean, square in self._blocks:
            mean *= self.beta1
            mean += grads
            grads *= grads
            square *= self.beta2
            square += grads
            np.sqrt(square, out=grads)
            grads += epsilon
            np.divide(mean, grads, out=grads)
            grads *= rate
            values -= grads


class AdamW(Adam):
    """Adam whose weight decay pulls on the values themselves, by rate times decay (Loshchilov & Hutter 2019)."""

    def _decay(self, learning_rate: float) -> None:
        self.values[: self.decayed] *= 1.0 - learning_rate * self.weight_decay


OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": GradientDescent,
    "momentum": Momentum,
    "nesterov": Nesterov,
    "rmsprop": RMSprop,
    "adam": Adam,
    "adamw": AdamW,
}
