"""Accuracy, log-loss and Brier score of stored predictions."""

import numpy as np


def classification_measures(log_probabilities: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """`log_probabilities` [n, classes] against `targets` [n], the right classes from 0.

    The Brier score (Brier 1950) is the squared distance between the probabilities and the truth, summed over classes
    and averaged over images: 0 is perfect, 2 is the worst.

    >>> measures = classification_measures(np.log([[0.8, 0.2], [0.6, 0.4]]), np.array([0, 1]))
    >>> {name: round(value, 4) for name, value in measures.items()}
    {'accuracy': 0.5, 'loss': 0.5697, 'brier': 0.4}
    """
    rows = np.arange(len(targets))
    truth = np.zeros(log_probabilities.shape)
    truth[rows, targets] = 1.0
    return {
        "accuracy": float((log_probabilities.argmax(1) == targets).mean()),
        "loss": float(-log_probabilities[rows, targets].mean()),
        "brier": float(((np.exp(log_probabilities) - truth) ** 2).sum(1).mean()),
    }
