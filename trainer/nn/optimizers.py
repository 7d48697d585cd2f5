"""Optimizers: update rules over a flat vector of parameters."""

import math

import numpy as np

from trainer.arrays import Array


class Adam:
    """Adam (Kingma & Ba 2015, Algorithm 1), with both bias corrections folded into the step size.

    `values` and `grads` are flat and of one shape; `values` is updated in place.
    """

    def __init__(
        self, values: Array, grads: Array, *, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8
    ) -> None:
        self.values, self.grads = values, grads
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.steps = 0
        self._mean = np.zeros_like(values)
        self._square = np.zeros_like(values)
        self._work = np.empty_like(values)

    def step(self, learning_rate: float) -> None:
        self.steps += 1
        work = self._work
        self._mean *= self.beta1
        self._mean += np.multiply(self.grads, 1 - self.beta1, out=work)
        self._square *= self.beta2
        np.multiply(self.grads, self.grads, out=work)
        work *= 1 - self.beta2
        self._square += work
        # m̂ / (√v̂ + ε) = m / (√v + ε c₂) · c₂ / c₁ with c₁ = 1 - β₁ᵗ, c₂ = √(1 - β₂ᵗ): two scalars, no extra pass.
        correction1 = 1 - self.beta1**self.steps
        correction2 = math.sqrt(1 - self.beta2**self.steps)
        np.sqrt(self._square, out=work)
        work += self.epsilon * correction2
        np.divide(self._mean, work, out=work)
        work *= learning_rate * correction2 / correction1
        self.values -= work
