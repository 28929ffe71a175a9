"""How good does the tutorial's recipe get? lr_find, then fastai's own `fit_one_cycle(n, slice(3e-6, 3e-3))`.

A pretrained model's new head is trained first with the body frozen; then the whole model, from tiny changes in the
early layers to large ones in the head (Smith & Topin 2017, arXiv:1708.07120; Howard & Ruder 2018, arXiv:1801.06146).

    lrlab one-cycle --data ~/photos --arch resnet34 --epochs 4
"""

from lrlab.recipes import cli


def main(
    data: str = "solar",  # solar, digits, fashion_mnist, a fastai dataset, or a folder; cifar:1000 is a part of one
    arch: str = "efficientnet_lite0",  # efficientnet_lite0 (pretrained), small (from scratch), torchvision or timm name
    epochs: int = 3,  # Epochs of fit_one_cycle, after one epoch for the head of a pretrained model
    lr_max: str = "slice(3e-6,3e-3)",  # The highest LR: a number, slice(first layers, head), or find
    seed: int = 0,  # Initial weights, batch order and augmentation
    weights: str = None,  # A .pth or .safetensors file of pretrained weights (default: ImageNet's)
    bs: int = None,  # Batch size; default: 64, or less so that an epoch has at least 8 steps
    size: int = None,  # Pixels of a side (default: the dataset's own)
    precision: str = "auto",  # fp32, bf16, fp16 (GPU), or auto: the fastest, measured once
    no_cache: bool = False,  # Decode the images in memory, keep nothing of them on disk
    out: str = None,  # Folder of the results (default: results/one_cycle)
    fresh: bool = False,  # Start over; what the folder holds is kept aside
    quick: bool = False,  # A smoke run: 1 epoch, of the small model unless you choose another
):
    "Train with 1cycle and discriminative LRs: the LR of every layer group, the losses, and the confusion matrix."
    from lrlab.recipes.kitchen import options, workloads
    from lrlab.recipes.studies.one_cycle import study as tutorial

    if quick:
        arch, epochs = "small" if arch == "efficientnet_lite0" and weights is None else arch, 1
    options.check_range("epochs", epochs, 1, 10_000)
    options.check_range("seed", seed, 0, 2**32 - 1)
    workload = workloads.checked(data, arch, size, bs, precision, weights, cache=not no_cache)
    lr = options.parse_lr(lr_max)
    result = tutorial.one_cycle(workload, epochs, lr, seed, out or f"results/one_cycle{'-quick' * quick}", fresh)
    print(result.text)
    return result


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
