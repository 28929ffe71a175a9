"""From the question of `lrlab predict` to its answer: find the files, predict them in batches, tell what is unsure."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from lrlab.recipes.kitchen.data.image_folder import images_below
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.learner.saved_model import load_model, predict_files
from lrlab.recipes.kitchen.stage import stage
from lrlab.recipes.kitchen.store.csv_option import check_csv, with_csv
from lrlab.recipes.kitchen.text import name_some, plural, printable, show_share, text_table, typed_path
from lrlab.recipes.kitchen.workloads import using_threads


@dataclass
class Answer:
    """One row per image: file, class, probability, unsure, error, and the probability of every class.

    `error` says why an image could not be read; its other columns are empty.
    """

    table: pd.DataFrame
    text: str
    exit_code: int = 0


def answer(model: str, paths: Sequence[str], sure: float = 0.7, csv: str | None = None) -> Answer:
    """Predict the images among `paths`, which are files and folders. Those with a probability below `sure` are unsure.

    An image that cannot be read is named. If none can, the exit code is 1.
    """
    files = find_images(paths)
    check_csv(csv)
    stage("Loading the model")
    learn = load_model(model)
    predictions = predict_files(learn, files)  # raises for a Learner that has no classes
    classes = [printable(name) for name in learn.dls.vocab]
    rows = []
    with using_threads():
        for file, probabilities, error in predictions:
            row: dict[str, Any] = {
                "file": os.fsencode(file).decode("utf-8", "replace"),  # for the table, which is UTF-8
                "class": None,
                "probability": None,
                "unsure": None,
                "error": error,
            }
            if probabilities is not None:
                best = int(probabilities.argmax())
                probability = float(probabilities[best])
                row |= {"class": classes[best], "probability": probability, "unsure": probability < sure}
                row |= {f"p({name})": float(p) for name, p in zip(classes, probabilities, strict=True)}
            rows.append(row)
            if len(rows) % 100 == 0:
                stage(f"Predicting: {len(rows):,} of {len(files):,}")
    table = pd.DataFrame(rows)
    text = with_csv(_text(table, sure), "Table", table, csv)
    return Answer(table, text, exit_code=int(table.error.notna().all()))


def find_images(paths: Sequence[str]) -> list[Path]:
    "The files, and the images below the folders, in order. Raises UserError for what is not there, or holds no image."
    files: list[Path] = []
    for name in paths:
        path = typed_path(name)
        if not path.exists():
            raise UserError(f"{printable(name)}: no such file or folder")
        found = sorted(images_below(path)) if path.is_dir() else [path]
        if not found:
            raise UserError(f"{printable(name)}: no images found in this folder")
        files += found
    return list(dict.fromkeys(files))


def _text(table: pd.DataFrame, sure: float) -> str:
    read, failed = table[table.error.isna()], table[table.error.notna()]
    rows = [
        {
            "file": printable(row["file"]),
            "class": row["class"],
            "probability": show_share(row["probability"]),
            "": "unsure" if row["unsure"] else "",
        }
        for row in read.to_dict("records")
    ]
    lines = []
    if rows:
        unsure = f"{int(read.unsure.sum())} unsure: a probability below {100 * sure:g} %."
        lines = [text_table(rows), "", f"{plural(len(rows), 'image')}, {unsure}"]
    if len(failed):
        named = [f"{row['file']} ({row['error']})" for row in failed.to_dict("records")]
        lines.append(f"Not read: {name_some(named, 20)}.")
    return "\n".join(lines)
