"""Tiny Learners of many tasks, as users make them."""

import numpy as np
import pandas as pd
import torch
from fastai.basics import DataLoaders, Learner, nn
from fastai.losses import BCEWithLogitsLossFlat, CrossEntropyLossFlat, MSELossFlat
from fastai.metrics import accuracy, accuracy_multi, foreground_acc, rmse

X = torch.randn(96, 4, generator=torch.Generator().manual_seed(0))
LABELS = (X.sum(1) > 0).long()


def loaders(y=LABELS, x=X, **kwargs):
    items = list(zip(x, y, strict=True))
    return DataLoaders.from_dsets(items[:64], items[64:], bs=8, **({"num_workers": 0} | kwargs))


def classifier(dls=None, metrics=accuracy, **kwargs):
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))
    return Learner(dls or loaders(), model, loss_func=CrossEntropyLossFlat(), metrics=metrics, **kwargs)


def regression(metrics=rmse):
    model = nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))
    return Learner(loaders(X.sum(1)), model, loss_func=MSELossFlat(), metrics=metrics)


def multi_label():
    return Learner(loaders((X > 0).float()), nn.Linear(4, 4), loss_func=BCEWithLogitsLossFlat(), metrics=accuracy_multi)


def segmentation():
    images = X.repeat(1, 16).reshape(96, 1, 8, 8)
    model = nn.Conv2d(1, 2, 3, padding=1)
    loss = CrossEntropyLossFlat(axis=1)
    return Learner(loaders((images[:, 0] > 0).long(), images), model, loss_func=loss, metrics=foreground_acc)


def tabular():
    "A CategoryBlock as the target: a CategoryMap with the names of the classes."
    from fastai.tabular.all import Categorify, CategoryBlock, Normalize, TabularDataLoaders, tabular_learner

    dls = TabularDataLoaders.from_df(
        table(),
        procs=[Categorify, Normalize],
        cat_names=["sign"],
        cont_names=list("abcd"),
        y_names="big",
        y_block=CategoryBlock(),
        valid_idx=list(range(64, 96)),
        bs=8,
    )
    return tabular_learner(dls, layers=[8], metrics=accuracy)


def table():
    rows = pd.DataFrame(X.numpy(), columns=list("abcd")).assign(sign=np.where(X[:, 0] > 0, "plus", "minus"))
    return rows.assign(big=np.where(LABELS == 1, "yes", "no"))


def text():
    "A tiny AWD_LSTM, whose model returns several outputs and whose batches have texts of different lengths."
    from fastai.text.all import AWD_LSTM, TextDataLoaders, awd_lstm_clas_config, text_classifier_learner

    words = np.array("good bad film book very not".split())
    rows = pd.DataFrame({"text": [" ".join(words[(row.abs() * 9).long() % 6]) for row in X.repeat(1, 2)]})
    rows["label"] = np.where(rows.text.str.count("good") > rows.text.str.count("bad"), "liked", "disliked")
    dls = TextDataLoaders.from_df(rows, text_col="text", label_col="label", valid_pct=0.3, seed=1, bs=8)
    config = awd_lstm_clas_config | {"emb_sz": 8, "n_hid": 8, "n_layers": 1}
    return text_classifier_learner(dls, AWD_LSTM, config=config, pretrained=False, metrics=accuracy)


# A user's file that needs nothing of these tests, with augmentation and dropout.
SCRIPT = """
import torch
from fastai.basics import DataLoaders, Learner, nn
from fastai.losses import CrossEntropyLossFlat
from fastai.metrics import accuracy

x = torch.randn(96, 4, generator=torch.Generator().manual_seed(0))
items = list(zip(x, (x.sum(1) > 0).long(), strict=True))


def noisy(batch):
    return torch.stack([x + torch.rand(4) for x, _ in batch]), torch.stack([y for _, y in batch])


def make():
    dls = DataLoaders.from_dsets(items[:64], items[64:], bs=8, num_workers=0, create_batch=noisy)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))
    return Learner(dls, model, loss_func=CrossEntropyLossFlat(), metrics=accuracy)
"""
