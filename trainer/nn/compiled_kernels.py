"""A network behind its front, forward and backward, and Adam: the passes over flat vectors that numba compiles."""

import numpy as np
import scipy.linalg.cython_blas  # noqa: F401  numba's products call it.
from numba import njit

# Division as numpy's, without a check for zero, lets a loop run on vectors. Other threads may run Python meanwhile.
compiled = njit(cache=True, error_model="numpy", fastmath={"contract", "nsz"}, nogil=True)

LINEAR, NORM = 0, 1


@compiled
def differentiate(
    steps, leaks, epsilon, passed, values, grads, moments, outputs, delta, other, inputs, targets, shares
):
    logits = _forward(steps, leaks, epsilon, values, moments, outputs, inputs, shares)
    grad = delta[: logits.size].reshape(logits.shape)
    loss = _softmax_cross_entropy(logits, targets, shares, grad)
    layout = (steps, leaks, epsilon, passed)
    return loss, _backward(layout, values, grads, moments, outputs, grad, delta, other, inputs, shares)


@compiled
def _forward(steps, leaks, epsilon, values, moments, outputs, inputs, shares):
    rows = len(inputs)
    end = 0
    source = inputs
    for index in range(len(steps)):
        kind, fan_in, units, first, second, place = steps[index]
        out = outputs[end : end + rows * units].reshape(rows, units)
        end += rows * units
        if kind == NORM:
            gamma, beta = values[first : first + units], values[second : second + units]
            mean, variance = moments[0, place : place + units], moments[1, place : place + units]
            _normalise(source, out, gamma, beta, mean, variance, shares, epsilon, leaks[index])
        else:
            np.dot(source, values[first : first + fan_in * units].reshape(fan_in, units), out)
            if second >= 0:
                _shift(out, values[second : second + units], leaks[index])
        source = out
    return source


@compiled
def _backward(layout, values, grads, moments, outputs, grad, delta, other, inputs, shares):
    steps, leaks, epsilon, passed = layout
    rows = len(inputs)
    end = outputs.size
    for index in range(len(steps) - 1, -1, -1):
        kind, fan_in, units, first, second, place = steps[index]
        end -= rows * units
        out = outputs[end : end + rows * units].reshape(rows, units)
        source = inputs if index == 0 else outputs[end - rows * fan_in : end].reshape(rows, fan_in)
        if kind == NORM:
            mean, variance = moments[0, place : place + units], moments[1, place : place + units]
            gamma, dgamma = values[first : first + units], grads[first : first + units]
            dbeta = grads[second : second + units]
            _unnormalise(grad, source, out, gamma, mean, variance, dgamma, dbeta, shares, epsilon, leaks[index])
            continue
        if second >= 0:
            _unshift(grad, out, grads[second : second + units], leaks[index])
        np.dot(source.T, grad, grads[first : first + fan_in * units].reshape(fan_in, units))
        start = 0 if index > 0 else passed
        if start < fan_in:
            weight = values[first + start * units : first + fan_in * units].reshape(fan_in - start, units)
            delta, other = other, delta
            grad = np.dot(grad, weight.T, delta[: rows * (fan_in - start)].reshape(rows, fan_in - start))
    return grad


@compiled
def _shift(out, bias, leak):
    for row in range(out.shape[0]):
        for unit in range(out.shape[1]):
            value = out[row, unit] + bias[unit]
            out[row, unit] = value if value > 0 else leak * value


@compiled
def _unshift(grad, out, dbias, leak):
    dbias[:] = 0
    for row in range(out.shape[0]):
        for unit in range(out.shape[1]):
            dz = grad[row, unit]
            dz = dz if out[row, unit] > 0 else leak * dz
            grad[row, unit] = dz
            dbias[unit] += dz


@compiled
def _normalise(z, out, gamma, beta, mean, variance, shares, epsilon, leak):
    rows, units = z.shape
    # Summed up as distances from the first row, so that nothing is lost where the mean is far from zero.
    mean[:] = 0
    for row in range(rows):
        share = shares[row]
        for unit in range(units):
            mean[unit] += share * (z[row, unit] - z[0, unit])
    mean += z[0]
    variance[:] = 0
    for row in range(rows):
        share = shares[row]
        for unit in range(units):
            centred = z[row, unit] - mean[unit]
            variance[unit] += share * centred * centred
    scale = gamma / np.sqrt(variance + epsilon)
    for row in range(rows):
        for unit in range(units):
            value = (z[row, unit] - mean[unit]) * scale[unit] + beta[unit]
            out[row, unit] = value if value > 0 else leak * value


@compiled
def _unnormalise(grad, z, out, gamma, mean, variance, dgamma, dbeta, shares, epsilon, leak):
    rows, units = z.shape
    dgamma[:] = 0
    dbeta[:] = 0
    for row in range(rows):
        for unit in range(units):
            dy = grad[row, unit]
            dy = dy if out[row, unit] > 0 else leak * dy
            grad[row, unit] = dy
            dgamma[unit] += dy * (z[row, unit] - mean[unit])
            dbeta[unit] += dy
    inverse_deviation = 1 / np.sqrt(variance + epsilon)
    dgamma *= inverse_deviation
    slope = dgamma * inverse_deviation
    scale = gamma * inverse_deviation
    for row in range(rows):
        share = shares[row]
        for unit in range(units):
            through = dbeta[unit] + (z[row, unit] - mean[unit]) * slope[unit]
            grad[row, unit] = scale[unit] * (grad[row, unit] - share * through)


@compiled
def _softmax_cross_entropy(logits, targets, shares, grad):
    loss = 0.0
    rows, classes = logits.shape
    for row in range(rows):
        largest = logits[row, 0]
        for one in range(1, classes):
            largest = max(largest, logits[row, one])
        target = targets[row]
        total = np.float32(0)
        chosen = np.float32(0)
        for one in range(classes):
            shifted = logits[row, one] - largest
            chosen += target[one] * shifted
            grad[row, one] = np.exp(shifted)
            total += grad[row, one]
        loss += shares[row] * (np.log(total) - chosen)
        for one in range(classes):
            grad[row, one] = shares[row] * (grad[row, one] / total - target[one])
    return loss


@compiled
def adam(values, grads, mean, square, beta1, beta2, rate, epsilon):
    for index in range(len(values)):
        grad = grads[index]
        mean[index] = beta1 * mean[index] + grad
        square[index] = beta2 * square[index] + grad * grad
        values[index] -= rate * mean[index] / (np.sqrt(square[index]) + epsilon)


@compiled
def track(sums, moments, decay, bessel):
    for unit in range(sums.shape[1]):
        sums[0, unit] = sums[0, unit] * decay + moments[0, unit]
        sums[1, unit] = sums[1, unit] * decay + moments[1, unit] * bessel
