"""What do a wrong learning rate and a wrong length look like? Too high, too low, too short, too long, and right.

Trains from scratch with a constant LR, as the tutorial does, and says what went wrong by a fixed rule on the curves.
With the tutorial's model it prints the tutorial's published rows beside ours:

    lrlab learning-rate --data mnist_sample --arch vgg16_bn --size 32 --lr 3e-4
"""

from lrlab.recipes import cli


def main(
    data: str = "solar",  # solar, digits, fashion_mnist, a fastai dataset, or a folder; cifar:1000 is a part of one
    arch: str = "small",  # small, or any torchvision or timm name; always from scratch
    lr: str = "find",  # The right LR: a number, or find (an LR range test)
    high: float = 0.1,  # The LR that is too high
    low: float = 1e-6,  # The LR that is too low
    epochs: int = 8,  # Epochs of the right length; one is too short
    long: int = 30,  # Epochs that are too long
    seeds: str = "3",  # How many seeds (3), or which (0,5,7)
    bs: int = None,  # Batch size; default: 64, or less so that an epoch has at least 8 steps
    size: int = None,  # Pixels of a side (default: the dataset's own)
    precision: str = "auto",  # fp32, bf16, fp16 (GPU), or auto: the fastest, measured once
    jobs: str = "auto",  # Runs at the same time
    threads: int = 1,  # Processor threads per run
    no_cache: bool = False,  # Decode the images in memory, keep nothing of them on disk
    out: str = None,  # Folder of the results (default: results/learning_rate)
    fresh: bool = False,  # Start over; what the folder holds is kept aside
    quick: bool = False,  # A smoke run: 2 epochs, 3 are too long, 1 seed
):
    "Show what LRs and lengths that are too high, low, short, long and right do to the loss and the accuracy."
    from dataclasses import replace

    from lrlab.recipes.kitchen import options, workloads
    from lrlab.recipes.kitchen.errors import UserError
    from lrlab.recipes.studies.learning_rate import study as lr_lesson

    if quick:
        epochs, long, seeds = min(epochs, 2), min(long, 3), "1" if str(seeds) == "3" else seeds
    options.check_range("epochs", epochs, 1, 10_000)
    options.check_range("long", long, 1, 10_000)
    right = None if str(lr).strip().lower() == "find" else options.parse_one_lr(lr, "lr")
    high, low = options.parse_one_lr(high, "high"), options.parse_one_lr(low, "low")
    lr_lesson.check_order(low, right, high)
    if long <= epochs:
        raise UserError(f"`long` {long}: expected more than the `epochs` {epochs} that are right")
    workload = workloads.checked(data, arch, size, bs, precision, cache=not no_cache)
    question = lr_lesson.Question(
        workload=replace(workload, scratch=arch != "small"),
        lr=right,
        high=high,
        low=low,
        epochs=epochs,
        long=long,
        seeds=options.parse_seeds(seeds),
        threads=options.in_range("threads", threads, 1, 256),
    )
    out = out or f"results/learning_rate{'-quick' * quick}"
    result = lr_lesson.answer(question, out, options.parse_jobs(jobs, threads), fresh)
    print(result.text)
    return result


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
