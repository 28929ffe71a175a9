"""Which learning rate suits this model and these images? An LR range test, repeated over seeds.

Trains with an LR that grows from 1e-7 to 10 in 100 steps and reads the answer off the loss (Smith 2015). The test is
repeated from other initial weights and batches, because one curve does not show how far its suggestion can be trusted.

    lrlab lr-find --data ~/photos --arch efficientnet_lite0
"""

from lrlab.recipes import cli


def main(
    data: str = "solar",  # solar, digits, fashion_mnist, a fastai dataset, or a folder; cifar:1000 is a part of one
    arch: str = "small",  # small (from scratch), efficientnet_lite0 (pretrained), or a torchvision or timm name
    seeds: str = "3",  # How many seeds (3), or which (0,5,7)
    num_it: int = 100,  # Steps of one test
    bs: int = None,  # Batch size; default: 64, or less so that an epoch has at least 8 steps
    size: int = None,  # Pixels of a side (default: the dataset's own)
    precision: str = "auto",  # fp32, bf16, fp16 (GPU), or auto: the fastest, measured once
    no_cache: bool = False,  # Decode the images in memory, keep nothing of them on disk
    out: str = None,  # Folder of the results (default: results/lr_find)
    fresh: bool = False,  # Start over; what the folder holds is kept aside
    quick: bool = False,  # A smoke run: 2 seeds, 30 steps
):
    "Find a learning rate: the loss against the LR for several seeds, and what fastai's four rules suggest."
    from lrlab.recipes.kitchen import options, workloads
    from lrlab.recipes.studies.lr_find import study as lr_range

    if quick:
        seeds, num_it = "2" if str(seeds) == "3" else seeds, min(num_it, 30)
    workload = workloads.checked(data, arch, size, bs, precision, cache=not no_cache)
    options.check_range("num_it", num_it, 6, 100_000)
    out = out or f"results/lr_find{'-quick' * quick}"
    result = lr_range.range_tests(workload, options.parse_seeds(seeds), num_it, out, fresh)
    print(result.text)
    return result


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
