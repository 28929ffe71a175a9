"""What a model says of images it has not seen: scores, the table of the test, and pictures of its worst errors."""

import json
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.special import softmax

from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.figures.thumbnails import data_uri

WORST = 12  # errors that are shown as pictures


def scores_of(learn: Any, split: int) -> tuple[np.ndarray, np.ndarray]:
    "The model's outputs [n, classes] for a split (1 validation, 2 test) before the softmax, and the labels [n]."
    with learn.no_bar(), learn.no_logging():
        outputs, labels = learn.get_preds(ds_idx=split, act=torch.nn.Identity())
    return outputs.float().numpy(), labels.numpy()


def accuracy_of(scores: np.ndarray, labels: np.ndarray) -> float:
    return float((scores.argmax(1) == labels).mean())


def table_of(images: ImageSet, scores: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    "One row for every test image: file, label, predicted, probability (of that), p_label (of the right class)."
    probabilities, rows = softmax(scores, axis=1), np.arange(len(labels))
    predicted = probabilities.argmax(1)
    names = np.array(images.classes)
    return pd.DataFrame(
        {
            "file": [images.files[row] for row in images.splits["test"]],
            "label": names[labels],
            "predicted": names[predicted],
            "probability": probabilities[rows, predicted],
            "p_label": probabilities[rows, labels],
        }
    )


def worst_errors(images: ImageSet, table: pd.DataFrame) -> str:
    "The wrong answers that the model was most sure of, with their pictures; JSON."
    wrong = table[table.label != table.predicted].sort_values("p_label").head(WORST)
    rows = [
        {**row, "picture": data_uri(images.images[images.splits["test"][position]])}
        for position, row in zip(wrong.index, wrong.to_dict("records"), strict=True)
    ]
    return json.dumps(rows)
