"""Draws callbacks/gallery: the curve of every schedule in the tables of callbacks/README.md.

    python tests/callbacks/gallery.py

Each row of a table has an image and a call: the image is the curve of the call over 8 epochs of 100 steps.
"""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from lrlab import callbacks
from lrlab.callbacks import Schedule

FOLDER = Path(__file__).parents[2] / "callbacks"
EPOCHS, STEPS_PER_EPOCH = 8, 100
CURVE, CYCLE_END = "#0072B2", "#D55E00"  # from the colour-blind safe palette of Okabe and Ito
_ROW = re.compile(
    r"^\| !\[(?P<alt>[^]]*)\]\((?P<file>gallery/[\w-]+\.svg)\) \| `(?P<call>[^`]+)` \| (?P<source>.+) \|$", re.M
)


def rows() -> list[tuple[str, str, str]]:
    "File, call and source of every row of the gallery."
    return [(row["file"], row["call"], row["source"]) for row in _ROW.finditer((FOLDER / "README.md").read_text())]


def schedule(call: str) -> Schedule:
    "The schedule of a call."
    return eval(call, {"half": half} | {name: getattr(callbacks, name) for name in callbacks.__all__})  # noqa: S307


def half(p: float) -> float:
    "The user's own function in the row of `Custom`."
    return 1.0 if p < 0.5 else 0.5


def draw(schedule: Schedule, file: Path) -> None:
    "A small curve of the multipliers; a dot marks the end of every cycle."
    multipliers = schedule.multipliers(EPOCHS * STEPS_PER_EPOCH, STEPS_PER_EPOCH)
    ends = schedule.cycle_ends(EPOCHS * STEPS_PER_EPOCH, STEPS_PER_EPOCH)
    figure, ax = plt.subplots(figsize=(2.4, 1.2), layout="constrained")
    ax.plot(np.arange(len(multipliers)) / STEPS_PER_EPOCH, multipliers, color=CURVE, linewidth=1.5)
    if len(ends) > 1:
        ax.plot(np.array(ends) / STEPS_PER_EPOCH, multipliers[ends], "o", color=CYCLE_END, markersize=3)
    ax.set(xlim=(0, EPOCHS), ylim=(-0.05, 1.05), xticks=[0, 4, 8], yticks=[0, 1])
    ax.tick_params(labelsize=7)
    ax.spines[["top", "right"]].set_visible(False)
    with plt.rc_context({"svg.hashsalt": file.name, "svg.fonttype": "none"}):
        figure.savefig(file, metadata={"Date": None, "Creator": None})
    plt.close(figure)


def main() -> None:
    (FOLDER / "gallery").mkdir(exist_ok=True)
    for file, call, _ in rows():
        draw(schedule(call), FOLDER / file)
        print(file, call)


if __name__ == "__main__":
    main()
