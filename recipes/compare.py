"""Which learning-rate schedule trains best on these images? Every schedule x seed, compared fairly.

Runs an LR range test, then trains every schedule from the same initial weights on the same batches, seed by seed, and
draws the comparison. The same command continues where it stopped.

    lrlab compare --data ~/photos --schedules constant,cosine,one_cycle --seeds 5 --tune
"""

from lrlab.recipes import cli

EIGHT = "constant,step,exponential,cosine,triangular,triangular2,sgdr,one_cycle"
FOUR = "constant,cosine,sgdr,one_cycle"  # of a smoke run


def main(
    data: str = "solar",  # solar, digits, fashion_mnist, a fastai dataset, or a folder; cifar:1000 is a part of one
    arch: str = "small",  # small (from scratch), efficientnet_lite0 (pretrained), or a torchvision or timm name
    epochs: str = "7",  # Epochs of every run, or several budgets to compare at: 3,6,12
    seeds: str = "3",  # How many seeds (3), or which (0,5,7)
    schedules: str = EIGHT,  # Names or calls
    lr_max: str = "slice(3e-6,3e-3)",  # The highest LR: a number, slice(first layers, head), or find
    tune: bool = False,  # Give every schedule its own best LR, from one grid around lr_find's suggestion
    tune_points: int = 5,  # LRs in that grid at first
    tune_seeds: int = 2,  # Seeds per LR; never those of the comparison
    weights: str = None,  # A .pth or .safetensors file of pretrained weights (default: ImageNet's)
    bs: int = None,  # Batch size; default: 64, or less so that an epoch has at least 8 steps
    size: int = None,  # Pixels of a side (default: the dataset's own)
    precision: str = "auto",  # fp32, bf16, fp16 (GPU), or auto: the fastest, measured once
    jobs: str = "auto",  # Runs at the same time; auto: what cores and memory allow, measured
    threads: int = 1,  # Processor threads per run
    engine: str = "local",  # Where runs are trained: local (processes here) or ray (a cluster)
    address: str = None,  # The Ray cluster to join, such as auto or 10.0.0.1:6379 (default: one started here)
    no_cache: bool = False,  # Decode the images in memory, keep nothing of them on disk
    out: str = None,  # Folder of the results (default: results/compare)
    fresh: bool = False,  # Start over; what the folder holds is kept aside
    quick: bool = False,  # A smoke run: 2 epochs, 2 seeds, 4 schedules
):
    "Compare learning-rate schedules on the same data, weights, batches and budget."
    from lrlab.recipes.kitchen import options, schedule_names, workloads
    from lrlab.recipes.studies.compare import study as comparison
    from lrlab.recipes.kitchen.grid import tuning  # isort: skip
    from lrlab.recipes.kitchen.errors import UserError
    from lrlab.recipes.kitchen.grid.engines import place_for

    budgets = options.parse_epochs(epochs)
    if quick:
        budgets, seeds = [min(budgets[0], 2)], "2" if str(seeds) == "3" else seeds
        schedules = FOUR if schedules == EIGHT else schedules
    if tune:
        options.check_range("tune_points", tune_points, 3, 15)
        options.check_range("tune_seeds", tune_seeds, 1, 100)
        lr_max = "find" if lr_max == "slice(3e-6,3e-3)" else lr_max  # the centre of the grid
    elif (tune_points, tune_seeds) != (5, 2):
        raise UserError("`tune_points` and `tune_seeds` are for `tune`")
    question = comparison.Question(
        workload=workloads.checked(data, arch, size, bs, precision, weights, cache=not no_cache),
        seeds=options.parse_seeds(seeds),
        schedules={budget: schedule_names.parse_schedules(schedules, budget) for budget in budgets},
        lr_max=options.parse_lr(lr_max),
        threads=options.in_range("threads", threads, 1, 256),
        tuning=tuning.Tuning(tune_points, tune_seeds) if tune else None,
    )
    place = place_for(engine, jobs, address)
    result = comparison.answer(question, out or f"results/compare{'-quick' * quick}", place, fresh)
    print(result.text)
    return result


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
