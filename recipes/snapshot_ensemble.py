"""Is one run with restarts worth several models?

One SGDR run gives a snapshot at every minimum of its LR (Huang et al. 2017, arXiv:1704.00109). Their ensemble and their
average are compared with a cosine run and a constant LR of the same length. Also draws the loss on the plane through
the last three snapshots.

    lrlab snapshot-ensemble --data ~/photos --epochs 20 --cycles 5
"""

from typing import Annotated, Any

from lrlab.recipes import cli
from lrlab.recipes.kitchen import options as o
from lrlab.recipes.kitchen.errors import UserError

Cycles = Annotated[
    Any, o.Option("Training", "N", "Cycles of the SGDR run, of equal length; one snapshot each", o.number(2, 1000))
]


@cli.recipe(
    learner={**dict.fromkeys(("data", "arch", "size", "precision")), "lr_max": "find"},
    quick={"epochs": 3, "cycles": 3, "seeds": 1, "size": 32, "out": "results/snapshot_ensemble-quick"},
)
def main(
    data: o.Data = "solar",
    arch: o.Arch = "small",
    epochs: o.Epochs = 12,
    cycles: Cycles = 4,
    lr_max: o.OneLrOrFind = 3e-3,
    seeds: o.Seeds = 3,
    learner: o.Learner = None,
    weights: o.Weights = None,
    bs: o.BatchSize = None,
    size: o.Size = None,
    precision: o.Precision = "auto",
    jobs: o.Jobs = "auto",
    threads: o.Threads = 1,
    no_cache: o.NoCache = False,
    log: o.Log = None,
    out: o.Out = "results/snapshot_ensemble",
    fresh: o.Fresh = False,
    quick: o.Quick = False,
    *,
    knobs: o.Knobs,
):
    "Compare the snapshots of one SGDR run, their ensemble and their average with a cosine and a constant run."
    if cycles > epochs:
        raise UserError(f"`cycles` {cycles}: expected at most one cycle an epoch, and there are {epochs} epochs")

    from lrlab.recipes.kitchen.learner_workload import choose_workload
    from lrlab.recipes.studies.snapshot_ensemble import study

    images = {"data": data, "arch": arch, "size": size, "bs": bs, "precision": precision, "weights": weights}
    question = study.Question(
        workload=choose_workload(learner, **images, **knobs, cache=not no_cache),
        epochs=epochs,
        cycles=cycles,
        lr_max=lr_max,
        seeds=seeds,
        threads=threads,
    )
    return study.answer(question, out, jobs, fresh)


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
