"""The bank of runs: nine schedules x many seeds on four data sets, to judge rules of decision by.

digits and solar have no split of their own, so every seed splits them anew; `_fixed` has one split for all seeds.

    python tests/benchmarks/bank.py digits 100      # seeds 0 to 99; continues where it stopped
    python tests/benchmarks/bank.py pack            # writes results/reference/bank/<data>.csv.gz

One process with one thread trains. Every row is one run, measured on all validation images after the last step:
accuracy, log-loss (`loss`), Brier score (`brier`), and the log-loss at the best temperature (`scaled_loss`).
"""

import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from lrlab.recipes.kitchen.stats.predictions import classification_measures

TARGET = Path("results/reference/bank")
WORK = Path("results/bank")  # unpacked, and not committed
SCHEDULES = "constant,step,exponential,linear,cosine,triangular,triangular2,sgdr,one_cycle"
LR_MAX = 3e-3
PRECISION = "bf16"


@dataclass(frozen=True)
class Bank:
    "What is trained for one file of the bank."

    data: str
    size: int
    epochs: int
    has_one_split: bool = False


BANKS = {
    "digits": Bank("digits", 8, 4),
    "solar": Bank("solar:1000", 32, 4),
    "digits_fixed": Bank("digits", 8, 4, has_one_split=True),
    "solar_fixed": Bank("solar:1000", 32, 4, has_one_split=True),
    "cifar": Bank("cifar:1000", 24, 6),
    "fashion": Bank("fashion_mnist:1000", 14, 5),
}


def measure(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    "Accuracy, log-loss, Brier score and temperature-scaled log-loss of `logits` [n, classes]."

    def loss(temperature: float) -> float:
        return -float(log_softmax(logits / temperature, axis=1)[np.arange(len(labels)), labels].mean())

    scaled = minimize_scalar(lambda log_t: loss(np.exp(log_t)), bounds=(-3, 3), method="bounded").fun
    return classification_measures(log_softmax(logits, axis=1), labels) | {"scaled_loss": float(scaled)}


def train_seed(bank: Bank, seed: int) -> pd.DataFrame:
    "One row per schedule."
    import torch

    from lrlab.callbacks import StopOnDivergence
    from lrlab.recipes.kitchen.learner.precision import autocast
    from lrlab.recipes.kitchen.schedule_names import parse_schedules
    from lrlab.recipes.kitchen.workloads import ImageWorkload

    torch.set_num_threads(1)
    workload = ImageWorkload(bank.data, size=bank.size, precision=PRECISION)
    images = workload.load()
    images = replace(images, strata=None) if bank.has_one_split else images
    rows = []
    for name, schedule in parse_schedules(SCHEDULES, bank.epochs).items():
        start = time.perf_counter()
        learn = workload.learner(seed, images)
        divergence = StopOnDivergence()
        with learn.no_bar(), learn.no_logging():
            learn.fit_schedule(bank.epochs, schedule, lr_max=LR_MAX, cbs=divergence)
        learn.model.eval()
        with torch.no_grad(), autocast(PRECISION, learn.dls.device):
            batches = [(learn.model(x).float().numpy(), y.numpy()) for x, y in learn.dls.valid]
        logits, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
        is_finite = not divergence.diverged and bool(np.isfinite(logits).all())
        row = {"schedule": name, "seed": seed, "status": "ok" if is_finite else "diverged"}
        row |= measure(logits.astype(float), labels) if is_finite else {}
        rows.append(row | {"seconds": round(time.perf_counter() - start, 2)})
    return pd.DataFrame(rows)


def train(name: str, seeds: int) -> None:
    "Train the seeds that the file does not hold yet. A seed is written when all its schedules are done."
    WORK.mkdir(parents=True, exist_ok=True)
    file = WORK / f"{name}.csv"
    done = set(pd.read_csv(file).seed) if file.exists() else set()
    for seed in sorted(set(range(seeds)) - done):
        train_seed(BANKS[name], seed).to_csv(file, mode="a", header=not file.exists(), index=False)
        print(f"{name}: seed {seed} done", flush=True)


def pack() -> None:
    "The finished seeds, compressed, the same bytes for the same rows."
    TARGET.mkdir(parents=True, exist_ok=True)
    for name in BANKS:
        if (WORK / f"{name}.csv").exists():
            table = pd.read_csv(WORK / f"{name}.csv").sort_values("seed", kind="stable").round(6)
            table.to_csv(TARGET / f"{name}.csv.gz", index=False, compression={"method": "gzip", "mtime": 0})


if __name__ == "__main__":
    if sys.argv[1:] == ["pack"]:
        pack()
    elif len(sys.argv) == 3 and sys.argv[1] in BANKS:
        train(sys.argv[1], int(sys.argv[2]))
    else:
        raise SystemExit(__doc__)
