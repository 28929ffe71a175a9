"""What the tutorial published about the LR (BuaLabs notebook 02a, commit 66e21b2), beside our runs of the same LR.

tutorial.csv has every epoch of its four runs: fastai 1, MNIST_SAMPLE (3 or 7), vgg16_bn from scratch, 28 px, batch size
64, a constant LR, one run each without a seed; 2,886 validation images, so that one error is 0.035 points of accuracy.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from lrlab.recipes.kitchen.text import text_table
from lrlab.recipes.studies.learning_rate.diagnosis import diagnose

ARCH = "vgg16_bn"


def tutorial_rows() -> pd.DataFrame:
    "lr, epochs (of the run), epoch (from 1), train_loss, valid_loss, accuracy."
    rows = pd.read_csv(Path(__file__).with_name("tutorial.csv"))
    return rows.assign(epoch=rows.epoch + 1)


def beside_the_tutorial(epochs: pd.DataFrame, config: dict) -> list[str]:
    "The published runs, and what the same rule says about them, beside ours of the same LR after the same epochs."
    tutorial, guess = tutorial_rows(), float(np.log(2))  # its two classes are about equally frequent
    lines = ["The tutorial's rows (fastai 1, MNIST 3 or 7, 28 px, 1 run) beside ours, same LR, same epoch:"]
    if config["question"]["data"] != "mnist_sample":
        counts, title = config["data"]["counts"]["train"], config["data"]["title"]
        lines.append(
            f"Our data are different ({title}: {sum(counts.values())} training images, the tutorial had 11,548). "
            "Compare how the runs behave, not their levels."
        )
    rows = []
    for (lr, length), run in tutorial.groupby(["lr", "epochs"], sort=False):
        word = diagnose(run, np.empty(0), guess)
        for theirs in run.itertuples():
            if theirs.epoch not in {1, 2, 4, 8, 10, 20, length}:
                continue
            ours = epochs[(epochs.lr_max.astype(float) == lr) & (epochs.epoch == theirs.epoch)]
            ours = ours[(ours.schedule == "too short") == (length == 1)]
            ours = ours.drop_duplicates("seed")  # "right" and "too long" are the same run as far as both go
            rows.append(
                {
                    "lr": f"{lr:g}",
                    "epoch": theirs.epoch,
                    "their loss": f"{theirs.valid_loss:.4f}",
                    "their %": f"{100 * theirs.accuracy:.2f}",
                    "their diagnosis": word if theirs.epoch == length else "",
                    "our loss": f"{ours.valid_loss.mean():.4g}" if len(ours) else "-",
                    "our %": f"{100 * ours.accuracy.mean():.2f}" if len(ours) else "-",
                    "n": len(ours),
                }
            )
    return [*lines, *text_table(rows).splitlines()]
