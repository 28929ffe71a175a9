"""Which learning-rate schedule trains best on these images? Every schedule x seed, compared fairly.

Runs an LR range test, then trains every schedule from the same initial weights on the same batches, seed by seed, and
draws the comparison. The same command continues where it stopped.

    lrlab compare --data ~/photos --schedules constant,cosine,one_cycle --seeds 5
"""

from lrlab.recipes import cli


def main(
    data: str = "solar",  # solar, digits, or a folder of images (train/ + valid/, or one folder per class)
    arch: str = "small",  # small (from scratch), efficientnet_lite0 (pretrained), or a torchvision or timm name
    epochs: int = 7,  # Epochs of every run
    seeds: str = "3",  # How many seeds (3), or which (0,5,7)
    schedules: str = "constant,step,exponential,cosine,triangular,triangular2,sgdr,one_cycle",  # Names or calls
    lr_max: str = "slice(3e-6,3e-3)",  # The highest LR: a number, slice(first layers, head), or find
    bs: int = 64,  # Batch size
    size: int = None,  # Pixels of a side (default: the dataset's own)
    precision: str = "auto",  # fp32, bf16, or auto: bf16 where the processor has instructions for it
    jobs: str = "auto",  # Runs at the same time
    threads: int = 1,  # Processor threads per run
    out: str = None,  # Folder of the results (default: results/compare)
    fresh: bool = False,  # Start over; what the folder holds is kept aside
    quick: bool = False,  # A smoke run: 2 epochs, 2 seeds
):
    "Compare learning-rate schedules on the same data, weights, batches and budget."
    from lrlab.recipes.kitchen import comparison, options, workloads

    if quick:
        epochs, seeds = min(epochs, 2), "2" if str(seeds) == "3" else seeds
    options.check_range("epochs", epochs, 1, 10_000)
    question = comparison.Question(
        workload=workloads.checked(data, arch, size, bs, precision),
        epochs=epochs,
        seeds=options.parse_seeds(seeds),
        schedules=options.parse_schedules(schedules, epochs),
        lr_max=options.parse_lr(lr_max),
        threads=options.in_range("threads", threads, 1, 256),
    )
    result = comparison.answer(
        question, out or f"results/compare{'-quick' * quick}", jobs=options.parse_jobs(jobs, threads), fresh=fresh
    )
    print(result.text)
    return result


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
