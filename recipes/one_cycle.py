"""How good does the tutorial's 1cycle training get?

Runs lr_find, then fastai's own `fit_one_cycle(n, slice(3e-6, 3e-3))`. The new head of a pretrained model is trained
first with the body frozen; then the whole model, with small LRs in the early layers and large ones in the head (Smith &
Topin 2017, arXiv:1708.07120; Howard & Ruder 2018, arXiv:1801.06146).

    lrlab one-cycle --data ~/photos --arch resnet34 --epochs 4
"""

from typing import Annotated, Any

from lrlab.recipes import cli
from lrlab.recipes.kitchen import options as o

TutorialEpochs = Annotated[
    Any,
    o.Option("Training", "N", "Epochs of fit_one_cycle, after those of the head", o.number(1, o.MANY)),
]


@cli.recipe(
    learner={**dict.fromkeys(("data", "arch", "precision")), "lr_max": "find"},
    weights={"arch": "efficientnet_lite0"},
    quick={"arch": "small", "epochs": 1, "out": "results/one_cycle-quick"},
)
def main(
    data: o.Data = "solar",
    arch: o.Arch = "efficientnet_lite0",
    epochs: TutorialEpochs = 3,
    lr_max: o.LrMax = "slice(3e-6,3e-3)",
    seed: o.Seed = 0,
    learner: o.Learner = None,
    weights: o.Weights = None,
    bs: o.BatchSize = None,
    size: o.Size = None,
    precision: o.Precision = "auto",
    threads: o.AllThreads = None,
    no_cache: o.NoCache = False,
    out: o.Out = "results/one_cycle",
    fresh: o.Fresh = False,
    quick: o.Quick = False,
    *,
    knobs: o.Knobs,
):
    "Train with 1cycle and discriminative LRs: the LR of every layer group, the losses, and the confusion matrix."
    from lrlab.recipes.kitchen.learner_workload import choose_workload
    from lrlab.recipes.studies.one_cycle import study

    images = {"data": data, "arch": arch, "size": size, "bs": bs, "precision": precision, "weights": weights}
    workload = choose_workload(learner, **images, **knobs, cache=not no_cache, is_scheduled=False)
    return study.answer(study.Question(workload, epochs, lr_max, seed, threads), out, fresh)


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
