"""What is a pretrained model worth?

Trains the same model from ImageNet weights and from random ones, at every LR and every length, with 1cycle. Draws both
grids, and the epochs and optimizer steps that each needs to reach an accuracy that both reach.

    lrlab transfer-vs-scratch --data ~/photos --lrs 3e-4,1e-3,3e-3 --epochs 2,5,10
"""

from typing import Annotated, Any

from lrlab.recipes import cli
from lrlab.recipes.kitchen import options as o

Lrs = Annotated[
    Any, o.Option("Training", "LR,LR...", "LRs of the grid; pretrained layers get slice(lr/100, lr)", o.parse_lrs)
]
Lengths = Annotated[Any, o.Option("Training", "N,N...", "Lengths of the grid, in epochs", o.parse_epochs)]


@cli.recipe(quick={"lrs": "1e-2", "epochs": 1, "seeds": 1, "out": "results/transfer_vs_scratch-quick"})
def main(
    data: o.Data = "solar",
    arch: o.PretrainedArch = "efficientnet_lite0",
    lrs: Lrs = "3e-3,1e-2,3e-2",
    epochs: Lengths = "1,2,3",
    seeds: o.Seeds = 3,
    weights: o.Weights = None,
    bs: o.BatchSize = None,
    size: o.FixedSize = 32,
    precision: o.Precision = "auto",
    jobs: o.Jobs = "auto",
    threads: o.Threads = 1,
    no_cache: o.NoCache = False,
    log: o.Log = None,
    out: o.Out = "results/transfer_vs_scratch",
    fresh: o.Fresh = False,
    quick: o.Quick = False,
    *,
    knobs: o.TrainingKnobs,
):
    "Compare transfer with training from scratch over a grid of LRs and lengths: two heat maps, and what each costs."
    from lrlab.recipes.kitchen import workloads
    from lrlab.recipes.studies.transfer_vs_scratch import study

    workload = workloads.make_workload(data, arch, size, bs, precision, weights, cache=not no_cache, **knobs)
    question = study.Question(workload, lrs, epochs, seeds, threads)
    return study.answer(question, out, jobs, fresh)


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
