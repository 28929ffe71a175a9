"""Which model is the best that ten minutes can give, and why?

Measures the speed of this machine, puts a test part aside, tries a few ways to train a pretrained model, and trains the
best one until the time is up. With --learner, it finds the LR and the length of training of a Learner of your own.
Writes model.pkl, which `lrlab predict` and fastai's `load_learner` read, and a report that shows what every step cost
and decided.

    lrlab best --data ~/photos --minutes 10
    lrlab best --learner train.py:make_learner --minutes 10
"""

import time
from typing import Annotated, Any

from lrlab.recipes import cli
from lrlab.recipes.kitchen import options as o
from lrlab.recipes.kitchen.errors import UserError

Minutes = Annotated[
    Any, o.Option("Training", "N", "Minutes until the model and the report are there", o.number(0.5, 10_000.0))
]


@cli.recipe(
    quick={"minutes": 1.0, "out": "results/best-quick"},
    learner=dict.fromkeys(("data", "arch", "precision")),
)
def main(
    data: o.Data = "solar",
    minutes: Minutes = 10.0,
    arch: o.PretrainedArch = "efficientnet_lite0",
    learner: o.Learner = None,
    judge: o.Judge = None,
    weights: o.Weights = None,
    bs: o.BatchSize = None,
    size: o.Size = None,
    aug: o.Aug = None,
    seed: o.Seed = 0,
    precision: o.Precision = "auto",
    threads: o.AllThreads = None,
    no_cache: o.NoCache = False,
    out: o.Out = "results/best",
    fresh: o.Fresh = False,
    quick: o.Quick = False,
):
    "Train the best model that fits into the time, test it once on images put aside, and export it."
    began = time.monotonic()

    from lrlab.recipes.kitchen.learner_workload import LearnerWorkload, choose_workload

    images = {
        "data": data,
        "arch": arch,
        "size": size,
        "bs": bs,
        "precision": precision,
        "weights": weights,
        "aug": aug,
    }
    workload = choose_workload(learner, **images, cache=not no_cache, is_scheduled=False)
    if isinstance(workload, LearnerWorkload):
        from lrlab.recipes.studies.best.learner import study as of_learner

        question = of_learner.Question(workload, minutes, seed, threads, judge)
        return of_learner.answer(question, out, fresh, began=began)
    if judge is not None:
        raise UserError("`judge` is for `learner`; images are judged by accuracy")
    from lrlab.recipes.studies.best import study

    return study.answer(study.Question(workload, minutes, seed, threads), out, fresh, began=began)


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
