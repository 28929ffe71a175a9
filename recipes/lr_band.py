"""Which learning rates are safe, and how much does a wrong one cost?

Trains every schedule at every peak LR of a grid around lr_find's suggestion, and widens the grid until both ends cost
too much. Shows for each schedule the range of LRs that costs less than a tolerance, and its LR sensitivity (Wortsman
et al. 2023, arXiv:2309.14322).

    lrlab lr-band --data ~/photos --schedules linear,one_cycle
    lrlab lr-band --learner train.py:make_learner --epochs 4 --tolerance 0.5%
"""

from typing import Annotated, Any

from lrlab.recipes import cli
from lrlab.recipes.kitchen import options as o

Points = Annotated[Any, o.Option("Comparison", "N", "Peak LRs in the grid, at first; two a decade", o.number(3, 15))]
Centre = Annotated[
    Any,
    o.Option("Training", "LR", "Middle of the grid: a number, slice(first layers, head), or find", o.parse_lr),
]

Minutes = Annotated[Any, o.Option("Comparison", "N", "Three seeds first; then more while time lasts", o.parse_minutes)]


@cli.recipe(
    quick={"epochs": 1, "seeds": 3, "points": 3, "schedules": "constant,linear", "out": "results/lr_band-quick"},
    learner=dict.fromkeys(("data", "arch", "precision")),
    minutes={"seeds": o.MOST_SEEDS},
    grows=("seeds", "schedules", "points", "minutes"),
)
def main(
    data: o.Data = "digits",
    arch: o.Arch = "small",
    epochs: o.Epochs = 3,
    seeds: o.Seeds = 5,
    schedules: o.Schedules = "constant,linear,one_cycle",
    lr_max: Centre = "find",
    points: Points = 5,
    judge: o.Judge = None,
    tolerance: o.Tolerance = None,
    minutes: Minutes = None,
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
    out: o.Out = "results/lr_band",
    fresh: o.Fresh = False,
    quick: o.Quick = False,
    *,
    knobs: o.Knobs,
):
    "Find the range of LRs that costs less than a tolerance, for every schedule, with its LR sensitivity."
    from lrlab.recipes.kitchen import learner_workload, schedule_names
    from lrlab.recipes.kitchen.grid.place import place_for
    from lrlab.recipes.studies.lr_band import study

    images = {"data": data, "arch": arch, "size": size, "bs": bs, "precision": precision, "weights": weights}
    question = study.Question(
        workload=learner_workload.choose_workload(learner, **images, **knobs, cache=not no_cache),
        epochs=epochs,
        schedules=schedule_names.parse_schedules(schedules, epochs),
        seeds=seeds,
        lr_max=lr_max,
        points=points,
        judge=judge,
        tolerance=tolerance,
        threads=threads,
        minutes=minutes,
    )
    return study.answer(question, out, place_for(engine, jobs, address), fresh)


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
