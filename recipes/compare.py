"""Which learning-rate schedule trains best on your images?

Trains every schedule from the same initial weights on the same batches, seed by seed, and draws the comparison. The
same command again resumes where it stopped.

    lrlab compare --data digits --quick
    lrlab compare --data ~/photos --schedules constant,cosine,one_cycle --seeds 5 --tune
"""

from typing import Annotated, Any

from lrlab.recipes import cli
from lrlab.recipes.kitchen import options as o
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.schedule_names import DEFAULT_SCHEDULES, QUICK_SCHEDULES

ENGINES = ("local", "ray")
TUNE_POINTS, TUNE_SEEDS = 5, 2

Tune = Annotated[bool, o.Option("Comparison", "", "Tune the peak LR of every schedule on one grid around lr_find's")]
TunePoints = Annotated[Any, o.Option("Comparison", "N", "Peak LRs in the grid, at first [default: 5]", o.number(3, 15))]
TuneSeeds = Annotated[
    Any, o.Option("Comparison", "N", "Seeds per peak LR; never those of the comparison [default: 2]", o.number(1, 100))
]
Folds = Annotated[
    Any,
    o.Option(
        "Data",
        "K",
        "Cross-validation: K folds, one for each seed [default: a random split for each]",
        o.number(3, 100),
    ),
]
Engine = Annotated[
    Any,
    o.Option("Machine", "NAME", "Train on local (this machine) or ray (a cluster)", o.one_of(*ENGINES)),
]
Address = Annotated[
    Any, o.Option("Machine", "HOST:PORT", "Ray cluster to join: auto or an address [default: start one here]")
]


def log_runs(result: Any, options: dict[str, Any]) -> None:
    "Write the runs into the tracker that `log` names."
    if options["log"]:
        from lrlab.recipes.studies.compare.other_tools import log_result

        log_result(result, options["log"])


@cli.recipe(
    quick={"epochs": 2, "seeds": 2, "schedules": QUICK_SCHEDULES, "out": "results/compare-quick"},
    tune={"lr_max": "find"},
    learner={**dict.fromkeys(("data", "arch", "precision")), "lr_max": "find"},
    minutes={"seeds": o.MOST_SEEDS},
    until_decided={"seeds": 8},
    grows=("seeds", "schedules", "epochs", "lr_max", "minutes", "until_decided"),
    afterwards=log_runs,
)
def main(
    data: o.Data = "solar",
    arch: o.Arch = "small",
    epochs: o.Budgets = 4,
    seeds: o.Seeds = 5,
    schedules: o.Schedules = DEFAULT_SCHEDULES,
    lr_max: o.LrMax = "slice(3e-6,3e-3)",
    judge: o.Judge = None,
    tolerance: o.Tolerance = None,
    minutes: o.Minutes = None,
    until_decided: o.UntilDecided = False,
    tune: Tune = False,
    tune_points: TunePoints = None,
    tune_seeds: TuneSeeds = None,
    learner: o.Learner = None,
    folds: Folds = None,
    weights: o.Weights = None,
    scratch: o.Scratch = False,
    freeze_epochs: o.FreezeEpochs = None,
    aug: o.Aug = None,
    wd: o.Wd = None,
    opt: o.Opt = None,
    bs: o.BatchSize = None,
    size: o.Size = None,
    precision: o.Precision = "auto",
    jobs: o.Jobs = "auto",
    threads: o.Threads = 1,
    engine: Engine = "local",
    address: Address = None,
    no_cache: o.NoCache = False,
    log: o.Log = None,
    out: o.Out = "results/compare",
    fresh: o.Fresh = False,
    quick: o.Quick = False,
):
    "Compare learning-rate schedules on the same data, weights, batches and budget."
    if not tune and (tune_points or tune_seeds):
        raise UserError("`tune_points` and `tune_seeds` are for `tune`")
    if folds and max(seeds) >= folds:
        raise UserError(f"`folds` {folds}: they are for the seeds 0 to {folds - 1}; choose fewer `seeds`")

    from lrlab.recipes.kitchen import learner_workload, schedule_names
    from lrlab.recipes.kitchen.grid import tuning
    from lrlab.recipes.kitchen.grid.place import place_for
    from lrlab.recipes.kitchen.logs.log_runs import check_tracker
    from lrlab.recipes.studies.compare import study

    if log:
        check_tracker(log)
    question = study.Question(
        workload=learner_workload.choose_workload(
            learner,
            data=data,
            arch=arch,
            size=o.first_size(data, arch, size),
            bs=bs,
            precision=precision,
            weights=weights,
            folds=folds,
            scratch=scratch,
            freeze_epochs=freeze_epochs,
            aug=aug,
            wd=wd,
            opt=opt,
            cache=not no_cache,
        ),
        seeds=seeds,
        schedules={budget: schedule_names.parse_schedules(schedules, budget) for budget in epochs},
        lr_max=lr_max,
        threads=threads,
        judge=judge,
        tolerance=tolerance,
        minutes=minutes,
        until_decided=until_decided,
        tuning=tuning.Tuning(tune_points or TUNE_POINTS, tune_seeds or TUNE_SEEDS) if tune else None,
    )
    return study.answer(question, out, place_for(engine, jobs, address), fresh)


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
