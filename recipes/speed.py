"""How much sooner does lrlab answer than a fastai loop in a notebook? Measured here, side by side, in one run.

The same model, batches, augmentation and steps: (a) stock fastai from files, (a') stock fastai from small copies of the
files, (b) lrlab, (c) the bare PyTorch loop on tensors in memory; then every factor alone, and one scheduler step.

    lrlab speed
"""

from lrlab.recipes import cli


def main(
    epochs: int = 3,  # Epochs of every run; its time is scaled to the default comparison's 7
    repeats: int = 3,  # How often everything is measured, in turns
    jobs: str = "auto",  # Runs at the same time, for lrlab
    out: str = None,  # Folder of the results (default: results/speed)
    fresh: bool = False,  # Start over; what the folder holds is kept aside
    quick: bool = False,  # A smoke run: 1 epoch, 1 repeat, no large model, no scaling
):
    "Measure lrlab beside stock fastai and bare PyTorch on this machine: minutes, images per second, and every factor."
    from lrlab.recipes.kitchen import options
    from lrlab.recipes.studies.speed import study as speed

    if quick:
        epochs, repeats = 1, 1
    options.check_range("epochs", epochs, 1, 1000)
    options.check_range("repeats", repeats, 1, 100)
    out = out or f"results/speed{'-quick' * quick}"
    result = speed.measure(epochs, repeats, options.parse_jobs(jobs), out, fresh, everything=not quick)
    print(result.text)
    return result


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
