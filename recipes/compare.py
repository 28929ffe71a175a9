"""Which learning-rate schedule trains best on your images?

Trains every schedule from the same initial weights on the same batches, seed by seed, and draws the comparison. The
same command again resumes where it stopped.

    lrlab compare --data digits --quick
    lrlab compare --data ~/photos --schedules constant,cosine,one_cycle --seeds 5 --tune
"""

from pathlib import Path
from typing import Annotated, Any

from lrlab.recipes import cli
from lrlab.recipes.kitchen import options as o
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.schedule_names import DEFAULT_SCHEDULES, QUICK_SCHEDULES, split_schedules

SHORT_MINUTES = 10
UNTUNED: dict[str, Any] = {"tune": False, "tune_points": None, "tune_seeds": None}
SHORTER: tuple[dict[str, Any], ...] = ({"schedules": QUICK_SCHEDULES}, {"size": 64}, {"epochs": 2})  # one after another

Tune = Annotated[bool, o.Option("Comparison", "", "Tune the peak LR of every schedule on one grid around lr_find's")]
TunePoints = Annotated[Any, o.Option("Comparison", "N", "Peak LRs in the grid, at first", o.number(3, 15))]
TuneSeeds = Annotated[
    Any, o.Option("Comparison", "N", "Seeds per peak LR; never those of the comparison", o.number(1, 100))
]
FOLDS_HELP = "Cross-validation: K folds, one for each seed [default: a random split for each]"
Folds = Annotated[Any, o.Option("Data", "K", FOLDS_HELP, o.number(3, 100))]


def tell_model(data: Any, size: int | None, knobs: dict[str, Any]) -> tuple[str, int | None]:
    "The model for these data and its image size, where the user left the model open; a line says why, unless usual."
    from lrlab.recipes.kitchen.default_model import default_model

    if knobs["scratch"]:
        return "small", size
    model = default_model(data, size)
    if model.why:
        print(model.why, flush=True)
    return model.arch, model.size


def check_and_propose(options: dict[str, Any], given: dict[str, Any]) -> cli.Offer | None:
    "Raise UserError for options that contradict each other; else what `propose` has to offer."
    if not options["tune"] and {"tune_points", "tune_seeds"} & set(given):
        raise UserError("`tune_points` and `tune_seeds` are for `tune`")
    if (folds := options["folds"]) and max(options["seeds"]) >= folds:
        raise UserError(f"`folds` {folds}: they are for the seeds 0 to {folds - 1}; choose fewer `seeds`")
    return propose(options, given)


def propose(options: dict[str, Any], given: dict[str, Any]) -> cli.Offer | None:
    """A version of ten minutes, where the pretrained model that the user did not ask for would take longer here.

    It is not tuned and has fewer schedules, then smaller images, then fewer epochs too. If all that is too long, it has
    the small model.
    """
    if options["arch"] or options["learner"] or options["minutes"] or options["knobs"]["scratch"]:
        return None
    if (Path(options["out"]) / "config.json").exists() and not options["fresh"]:
        return None  # the folder holds a comparison, which this command resumes
    from lrlab.recipes.kitchen.default_model import default_model

    model = default_model(options["data"], options["size"])
    if model.arch == "small":
        return None
    from lrlab.recipes.kitchen.grid.time_needed import measure_cost
    from lrlab.recipes.kitchen.workloads import make_workload

    names = ("data", "bs", "precision", "weights", "folds")
    images = {name: options[name] for name in names} | {"cache": not options["no_cache"]}
    workload = make_workload(**images, arch=model.arch, size=model.size, **options["knobs"])
    cost = measure_cost(workload, options["threads"], options["jobs"])
    needed = cost.seconds(*amount(options))
    if needed <= 60 * SHORT_MINUTES:
        return None
    changes: dict[str, Any] = {"arch": model.arch, "minutes": SHORT_MINUTES} | (UNTUNED if options["tune"] else {})
    for shorter in SHORTER:
        changes |= {name: value for name, value in shorter.items() if name not in given}
        first = options | changes | {"seeds": options["seeds"][:3]}
        if cost.at(changes.get("size", cost.size)).seconds(*amount(first)) <= 60 * SHORT_MINUTES:
            break
    else:
        changes = {name: value for name, value in changes.items() if name in UNTUNED or name == "minutes"}
        changes |= {"arch": "small"}
    why = f"With {model.arch} this takes about {needed / 60:,.0f} minutes here. In about {SHORT_MINUTES} minutes:"
    return cli.Offer(why, changes)


def amount(options: dict[str, Any]) -> tuple[int, int]:
    "How many runs there are, those that tune included, and how many epochs they have in all."
    seeds = len(options["seeds"])
    if options["tune"]:
        seeds += options["tune_points"] * options["tune_seeds"]
    schedules, budgets = len(split_schedules(options["schedules"])), o.parse_epochs(options["epochs"])
    return seeds * schedules * len(budgets), seeds * schedules * sum(budgets)


@cli.recipe(
    quick={"epochs": 2, "seeds": 2, "schedules": QUICK_SCHEDULES, "arch": "small", "out": "results/compare-quick"},
    tune={"lr_max": "find"},
    learner={**dict.fromkeys(("data", "arch", "precision")), "lr_max": "find"},
    minutes={"seeds": o.MOST_SEEDS},
    until_decided={"seeds": 8},
    before=check_and_propose,
    grows=("seeds", "schedules", "epochs", "lr_max", "minutes", "until_decided"),
)
def main(
    data: o.Data = "solar",
    arch: o.DefaultArch = None,
    epochs: o.Budgets = 4,
    seeds: o.Seeds = 5,
    schedules: o.Schedules = DEFAULT_SCHEDULES,
    lr_max: o.LrMax = "slice(3e-6,3e-3)",
    judge: o.Judge = None,
    tolerance: o.Tolerance = None,
    minutes: o.Minutes = None,
    until_decided: o.UntilDecided = False,
    tune: Tune = False,
    tune_points: TunePoints = 5,
    tune_seeds: TuneSeeds = 2,
    learner: o.Learner = None,
    folds: Folds = None,
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
    out: o.Out = "results/compare",
    fresh: o.Fresh = False,
    quick: o.Quick = False,
    *,
    knobs: o.Knobs,
):
    "Compare learning-rate schedules on the same data, weights, batches and budget."
    from lrlab.recipes.kitchen import learner_workload, schedule_names
    from lrlab.recipes.kitchen.grid import tuning
    from lrlab.recipes.kitchen.grid.place import place_for
    from lrlab.recipes.studies.compare import study

    if arch is None and learner is None:
        arch, size = tell_model(data, size, knobs)
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
            cache=not no_cache,
            **knobs,
        ),
        seeds=seeds,
        schedules={budget: schedule_names.parse_schedules(schedules, budget) for budget in epochs},
        lr_max=lr_max,
        threads=threads,
        judge=judge,
        tolerance=tolerance,
        minutes=minutes,
        until_decided=until_decided,
        tuning=tuning.Tuning(tune_points, tune_seeds) if tune else None,
    )
    return study.answer(question, out, place_for(engine, jobs, address), fresh)


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
