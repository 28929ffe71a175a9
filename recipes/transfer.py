"""How should a pretrained model be trained: do early layers really need tiny changes? Six ways, one budget.

Trains the new head on the frozen body, runs lr_find, and goes on in six ways: head only, the tutorial's
`slice(3e-6, 3e-3)`, one high LR, one low LR, gradual unfreezing (Howard & Ruder 2018, arXiv:1801.06146), from scratch.

    lrlab transfer --data ~/photos --arch resnet34 --size 128 --epochs 4
"""

from lrlab.recipes import cli


def main(
    data: str = "solar",  # solar, digits, fashion_mnist, a fastai dataset, or a folder; cifar:1000 is a part of one
    arch: str = "efficientnet_lite0",  # efficientnet_lite0 or a torchvision or timm name
    epochs: int = 2,  # Epochs of every arm, after one for the head
    lr: str = "slice(3e-6,3e-3)",  # The LRs of the slice; its upper end is the one high LR
    low: float = 1e-4,  # The one low LR
    arms: str = "all",  # Which ways: some of head_only,slice,one_high_lr,one_low_lr,gradual,scratch
    seeds: str = "3",  # How many seeds (3), or which (0,5,7)
    weights: str = None,  # A .pth or .safetensors file of pretrained weights (default: ImageNet's)
    bs: int = None,  # Batch size; default: 64, or less so that an epoch has at least 8 steps
    size: int = 48,  # Pixels of a side; 128 and more are better and slower
    precision: str = "auto",  # fp32, bf16, fp16 (GPU), or auto: the fastest, measured once
    jobs: str = "auto",  # Runs at the same time
    threads: int = 1,  # Processor threads per run
    no_cache: bool = False,  # Decode the images in memory, keep nothing of them on disk
    out: str = None,  # Folder of the results (default: results/transfer)
    fresh: bool = False,  # Start over; what the folder holds is kept aside
    quick: bool = False,  # A smoke run: digits at 32 px, 1 epoch, 1 seed
):
    "Transfer learning six ways with equal budget: LRs and movement of every layer group, and the accuracy."
    from lrlab.recipes.kitchen import options, workloads
    from lrlab.recipes.kitchen.errors import UserError
    from lrlab.recipes.studies.transfer import arms as transfer_arms
    from lrlab.recipes.studies.transfer import study as transfer

    if quick:
        epochs, size, seeds = 1, min(size, 32), "1" if str(seeds) == "3" else seeds
        data, precision = "digits" if data == "solar" else data, "fp32"  # faster than bf16 on so small images
    options.check_range("epochs", epochs, 1, 10_000)
    workload = workloads.checked(data, arch, size, bs, precision, weights, cache=not no_cache)
    if not workload.pretrained:
        raise UserError("`arch` small has no pretrained weights; choose efficientnet_lite0 or a torchvision name")
    parsed = options.parse_lr(lr, "lr")
    if not isinstance(parsed, slice) or parsed.start is None:
        raise UserError(f"`lr` {lr}: expected the LRs of the first layers and of the head, such as slice(3e-6,3e-3)")
    low = options.parse_one_lr(low, "low")
    threads = options.in_range("threads", threads, 1, 256)
    ways = tuple(transfer_arms.parse_arms(arms))
    question = transfer.Question(workload, epochs, parsed, low, options.parse_seeds(seeds), threads, ways)
    out = out or f"results/transfer{'-quick' * quick}"
    result = transfer.answer(question, out, options.parse_jobs(jobs, threads), fresh, 20 if quick else 100)
    print(result.text)
    return result


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
