"""Is one run with restarts worth several models? Snapshots, their ensemble and their average against one cosine run.

One SGDR run gives a snapshot at every minimum of its LR (Huang et al. 2017, arXiv:1704.00109); beside it, with the same
epochs, a cosine run without restarts and a constant LR. Draws the loss on the plane through the last three snapshots.

    lrlab snapshot-ensemble --data ~/photos --epochs 20 --cycles 5
"""

from lrlab.recipes import cli


def main(
    data: str = "solar",  # solar, digits, fashion_mnist, a fastai dataset, or a folder; cifar:1000 is a part of one
    arch: str = "small",  # small (from scratch), efficientnet_lite0 (pretrained), or a torchvision or timm name
    epochs: int = 12,  # Epochs of every run
    cycles: int = 4,  # Cycles of the SGDR run, of equal length; one snapshot each
    lr_max: float = 3e-3,  # The highest LR of all runs
    seeds: str = "3",  # How many seeds (3), or which (0,5,7)
    weights: str = None,  # A .pth or .safetensors file of pretrained weights (default: ImageNet's)
    bs: int = None,  # Batch size; default: 64, or less so that an epoch has at least 8 steps
    size: int = None,  # Pixels of a side (default: the dataset's own)
    precision: str = "auto",  # fp32, bf16, fp16 (GPU), or auto: the fastest, measured once
    jobs: str = "auto",  # Runs at the same time
    threads: int = 1,  # Processor threads per run
    no_cache: bool = False,  # Decode the images in memory, keep nothing of them on disk
    out: str = None,  # Folder of the results (default: results/snapshot_ensemble)
    fresh: bool = False,  # Start over; what the folder holds is kept aside
    quick: bool = False,  # A smoke run: 3 epochs, 3 cycles, 1 seed, 32 px
):
    "Compare the snapshots of one SGDR run, their ensemble and their average with a cosine and a constant run."
    from lrlab.recipes.kitchen import options, workloads
    from lrlab.recipes.kitchen.errors import UserError
    from lrlab.recipes.studies.snapshot_ensemble import study as snapshot_answer

    if quick:
        epochs, cycles, size, seeds = 3, 3, size or 32, "1" if str(seeds) == "3" else seeds
    options.check_range("epochs", epochs, 1, 10_000)
    options.check_range("cycles", cycles, 2, 1000)
    if cycles > epochs:
        raise UserError(f"`cycles` {cycles}: expected at most one cycle an epoch, and there are {epochs} epochs")
    question = snapshot_answer.Question(
        workload=workloads.checked(data, arch, size, bs, precision, weights, cache=not no_cache),
        epochs=epochs,
        cycles=cycles,
        lr_max=options.parse_one_lr(lr_max, "lr_max"),
        seeds=options.parse_seeds(seeds),
        threads=options.in_range("threads", threads, 1, 256),
    )
    out = out or f"results/snapshot_ensemble{'-quick' * quick}"
    result = snapshot_answer.answer(question, out, options.parse_jobs(jobs, threads), fresh)
    print(result.text)
    return result


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
