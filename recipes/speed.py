"""How much faster is lrlab than a plain fastai loop?

Measures the same model, batches, augmentation and steps side by side on this machine: stock fastai from files, stock
fastai from small copies of the files, lrlab, and a bare PyTorch loop on tensors in memory; then every factor alone, and
one scheduler step.

    lrlab speed
"""

from typing import Annotated, Any

from lrlab.recipes import cli
from lrlab.recipes.kitchen import options as o

TimedEpochs = Annotated[
    Any,
    o.Option("Training", "N", "Epochs of every run; times are scaled to the 4 of compare", o.number(1, 1000)),
]
Repeats = Annotated[Any, o.Option("Comparison", "N", "How often everything is measured, in turns", o.number(1, 100))]


@cli.recipe(quick={"epochs": 1, "repeats": 1, "out": "results/speed-quick"})
def main(
    epochs: TimedEpochs = 3,
    repeats: Repeats = 3,
    jobs: o.Jobs = "auto",
    out: o.Out = "results/speed",
    fresh: o.Fresh = False,
    quick: o.Quick = False,
):
    "Measure lrlab beside stock fastai and bare PyTorch on this machine: minutes, images per second, and every factor."
    from lrlab.recipes.studies.speed import study

    return study.measure(epochs, repeats, jobs, out, fresh, everything=not quick)


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
