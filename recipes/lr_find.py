"""Which learning rate suits this model and these images?

Runs an LR range test (Smith 2015): the LR grows from 1e-7 to 10 in 100 steps, and the loss tells which LR to use. Every
seed repeats the test from other weights and batches, to show how far the suggestion can be trusted.

    lrlab lr-find --data ~/photos --arch efficientnet_lite0
"""

from typing import Annotated, Any

from lrlab.recipes import cli
from lrlab.recipes.kitchen import options as o

NumIt = Annotated[Any, o.Option("Training", "N", "Steps of each test", o.number(6, 100_000))]


@cli.recipe(
    quick={"seeds": 2, "num_it": 30, "out": "results/lr_find-quick"},
    learner=dict.fromkeys(("data", "arch", "precision")),
)
def main(
    data: o.Data = "solar",
    arch: o.Arch = "small",
    seeds: o.Seeds = 3,
    num_it: NumIt = 100,
    learner: o.Learner = None,
    bs: o.BatchSize = None,
    size: o.Size = None,
    weights: o.Weights = None,
    precision: o.Precision = "auto",
    no_cache: o.NoCache = False,
    out: o.Out = "results/lr_find",
    fresh: o.Fresh = False,
    quick: o.Quick = False,
    *,
    knobs: o.Knobs,
):
    "Find a learning rate: the loss against the LR for several seeds, and what fastai's four rules suggest."
    from lrlab.recipes.kitchen.learner_workload import choose_workload
    from lrlab.recipes.studies.lr_find import study

    images = {"data": data, "arch": arch, "size": size, "bs": bs, "precision": precision, "weights": weights}
    workload = choose_workload(learner, **images, **knobs, cache=not no_cache, is_scheduled=False)
    return study.answer(study.Question(workload, seeds, num_it), out, fresh)


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
