"""What is a pretrained model worth: which LR and how many epochs does it need, and which does training from scratch?

Trains the same model from ImageNet weights and from random ones at every LR and every length with 1cycle, and draws
both grids, with the epochs and optimizer steps that each needs to reach an accuracy that both reach.

    lrlab transfer-vs-scratch --data ~/photos --lrs 3e-4,1e-3,3e-3 --epochs 2,5,10
"""

from lrlab.recipes import cli


def main(
    data: str = "solar",  # solar, digits, fashion_mnist, a fastai dataset, or a folder; cifar:1000 is a part of one
    arch: str = "efficientnet_lite0",  # efficientnet_lite0 or a torchvision or timm name
    lrs: str = "3e-3,1e-2,3e-2",  # The LRs of the grid; pretrained layers get slice(lr/100, lr)
    epochs: str = "1,2,3",  # The lengths of the grid
    seeds: str = "3",  # How many seeds (3), or which (0,5,7)
    weights: str = None,  # A .pth or .safetensors file of pretrained weights (default: ImageNet's)
    bs: int = None,  # Batch size; default: 64, or less so that an epoch has at least 8 steps
    size: int = 32,  # Pixels of a side; 128 and more are better and slower
    precision: str = "auto",  # fp32, bf16, fp16 (GPU), or auto: the fastest, measured once
    jobs: str = "auto",  # Runs at the same time
    threads: int = 1,  # Processor threads per run
    no_cache: bool = False,  # Decode the images in memory, keep nothing of them on disk
    out: str = None,  # Folder of the results (default: results/transfer_vs_scratch)
    fresh: bool = False,  # Start over; what the folder holds is kept aside
    quick: bool = False,  # A smoke run: one LR, 1 epoch, 1 seed
):
    "Compare transfer with training from scratch over a grid of LRs and lengths: two heat maps, and what each costs."
    from lrlab.recipes.kitchen import options, workloads
    from lrlab.recipes.kitchen.errors import UserError
    from lrlab.recipes.studies.transfer_vs_scratch import study as lr_epochs

    if quick:
        lrs, epochs, seeds = "1e-2", "1", "1" if str(seeds) == "3" else seeds
    workload = workloads.checked(data, arch, size, bs, precision, weights, cache=not no_cache)
    if not workload.pretrained:
        raise UserError("`arch` small has no pretrained weights; choose efficientnet_lite0 or a torchvision name")
    grid = [options.parse_one_lr(part, "lrs") for part in str(lrs).split(",")]
    if len(set(grid)) < len(grid):
        raise UserError(f"`lrs` {lrs}: expected different numbers such as 3e-4,1e-3")
    threads = options.in_range("threads", threads, 1, 256)
    budgets = options.parse_epochs(epochs)
    question = lr_epochs.Question(workload, grid, budgets, options.parse_seeds(seeds), threads)
    out = out or f"results/transfer_vs_scratch{'-quick' * quick}"
    result = lr_epochs.answer(question, out, options.parse_jobs(jobs, threads), fresh)
    print(result.text)
    return result


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
