"""The parts of captions that several figures share."""

import pandas as pd

from lrlab.recipes.kitchen.text import listed, plural

AUGMENTED = {"none": "no augmentation", "flips": "random flips", "fastai": "fastai's aug_transforms"}


def data_caption(data: dict) -> str:
    """The data of a study: its title, how many images, and their size.

    >>> data_caption({"title": "Digits", "images": {"train": 1400, "valid": 397}, "size": 8})
    'Digits, 1,400 training and 397 validation images of 8 px'
    """
    names = {"train": "training", "valid": "validation"}
    counts = [f"{n:,} {names.get(split, split)}" for split, n in data["images"].items()]
    title = data.get("title") or data["name"]
    what = f"images of {data['size']} px" if "size" in data else "items"
    return f"{title}, {listed(counts)} {what}"


def workload_caption(config: dict) -> str:
    "The data, the model, the batch size and the number of seeds of a study with one workload."
    question = config["question"]
    seeds = f", {plural(len(question['seeds']), 'seed')}" if "seeds" in question else ""
    model = f"{question['arch']}{training_words(question)}"
    return f"{data_caption(config['data'])}, {model}, batch size {question['bs']}{seeds}"


def if_shown(lows: pd.Series, words: str) -> str:
    """The words about intervals; empty where every lower end is unknown, as with two seeds.

    >>> if_shown(pd.Series([0.7, None]), "Bars: intervals."), if_shown(pd.Series([None, None]), "Bars: intervals.")
    ('Bars: intervals.', '')
    """
    return words if lows.notna().any() else ""


def loss_name(config: dict) -> str:
    """What the loss of a study is: cross-entropy, but for a Learner of the user's own.

    >>> loss_name({"question": {"data": "digits"}}), loss_name({"question": {"learner": "make of train.py"}})
    ('cross-entropy', 'loss')
    """
    return "loss" if "learner" in config["question"] else "cross-entropy"


def training_words(question: dict) -> str:
    """What the user has set of the training, each with a comma before; empty where nothing is set.

    >>> training_words({"arch": "resnet34", "scratch": True, "opt": "lamb", "wd": 0.1, "aug": "fastai"})
    " from random weights, lamb, weight decay 0.1, fastai's aug_transforms"
    """
    words = [question["opt"]] if question.get("opt") else []
    words += [f"weight decay {question['wd']:g}"] if question.get("wd") is not None else []
    words += [AUGMENTED[question["aug"]]] if question.get("aug") else []
    return " from random weights" * bool(question.get("scratch")) + "".join(f", {word}" for word in words)
