"""How many epochs are enough?

Trains one trunk with a constant LR for each seed, and a cooldown off it for every number of epochs (Hägele et al. 2024,
arXiv:2405.18392). Shows what longer training gains, beside a tuned cosine. A larger `--epochs` continues the trunks.

    lrlab epochs --data ~/photos --epochs 32
    lrlab epochs --learner train.py:make_learner --epochs 4,8,12
"""

from typing import Annotated, Any

from lrlab.recipes import cli
from lrlab.recipes.kitchen import options as o


def parse_budgets(value: Any, name: str = "epochs") -> list[int]:
    """The numbers of epochs to compare: 1, 2, 4, ... up to one number, or those of a list.

    >>> parse_budgets(12), parse_budgets("2,4,6")
    ([1, 2, 4, 8, 12], [2, 4, 6])
    """
    given = o.parse_epochs(value, name)
    longest = given[-1]
    return given if len(given) > 1 else [*(2**i for i in range((longest - 1).bit_length())), longest]


UpTo = Annotated[
    Any,
    o.Option("Training", "N|N,N...", "Longest run: 1, 2, 4, ... N epochs are compared; or which: 2,4,6", parse_budgets),
]
Beside = Annotated[
    Any,
    o.Option(
        "Comparison",
        "NAME",
        "What to train beside the cooldowns at two of the budgets: cosine, one_cycle or none",
        o.one_of("cosine", "one_cycle", "none"),
    ),
]
Untuned = Annotated[bool, o.Option("Comparison", "", "Use lr_max as it is, instead of tuning it on a grid around it")]


@cli.recipe(
    quick={"epochs": 2, "seeds": 2, "untuned": True, "out": "results/epochs-quick"},
    learner=dict.fromkeys(("data", "arch", "precision")),
    grows=("seeds", "epochs"),
)
def main(
    data: o.Data = "solar",
    arch: o.Arch = "small",
    epochs: UpTo = 16,
    seeds: o.Seeds = 5,
    lr_max: o.LrMax = "find",
    untuned: Untuned = False,
    beside: Beside = "cosine",
    judge: o.Judge = None,
    tolerance: o.Tolerance = None,
    learner: o.Learner = None,
    weights: o.Weights = None,
    bs: o.BatchSize = None,
    size: o.Size = None,
    precision: o.Precision = "auto",
    jobs: o.Jobs = "auto",
    threads: o.Threads = 1,
    engine: o.Engine = "local",
    address: o.Address = None,
    no_cache: o.NoCache = False,
    log: o.Log = None,
    out: o.Out = "results/epochs",
    fresh: o.Fresh = False,
    quick: o.Quick = False,
    *,
    knobs: o.Knobs,
):
    "Compare numbers of epochs by cooldowns off one trunk: what longer training gains, with intervals."
    from lrlab.recipes.kitchen import learner_workload
    from lrlab.recipes.kitchen.grid.place import place_for
    from lrlab.recipes.studies.epochs import study

    workload = learner_workload.choose_workload(
        learner,
        data=data,
        arch=arch,
        size=o.first_size(data, arch, size),
        bs=bs,
        precision=precision,
        weights=weights,
        cache=not no_cache,
        **knobs,
    )
    tuning = None if untuned else study.TUNING
    question = study.Question(workload, epochs, seeds, lr_max, beside, tuning, judge, tolerance, threads)
    return study.answer(question, out, place_for(engine, jobs, address), fresh)


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
