"""Temperature scaling (Guo et al. 2017, arXiv:1706.04599): one number makes a model as sure as it is right."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

FEWEST_IMAGES = 20  # for a temperature other than 1
RANGE = (0.1, 10.0)


def fit_temperature(scores: np.ndarray, targets: np.ndarray) -> float:
    """The temperature by which to divide `scores` [n, classes], so that the log-loss against `targets` [n] is lowest.

    1 for fewer than 20 images, or if every image is right: they cannot tell how sure the model should be.

    >>> too_sure = np.array([[4.0, 0.0]] * 30)  # a probability of 98 %
    >>> temperature = fit_temperature(too_sure, np.array([0, 0, 1] * 10))  # right in 67 %
    >>> round(float(np.exp(log_softmax(too_sure / temperature, axis=1))[0, 0]), 2)
    0.67
    >>> fit_temperature(too_sure, np.zeros(30, int))
    1.0
    """
    if len(targets) < FEWEST_IMAGES or (scores.argmax(1) == targets).all():
        return 1.0
    rows = np.arange(len(targets))

    def loss(log_temperature: float) -> float:
        return float(-log_softmax(scores / np.exp(log_temperature), axis=1)[rows, targets].mean())

    return float(np.exp(minimize_scalar(loss, bounds=np.log(RANGE), method="bounded").x))
