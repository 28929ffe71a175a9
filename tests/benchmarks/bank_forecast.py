"""The forecast of the gap that a comparison can show, held against the bank of runs.

    python tests/benchmarks/bank_forecast.py      # reads results/reference/bank/*.csv.gz, writes forecast.csv there

Before training: the gap that independent runs would show, times the share that the other data sets show (their
geometric mean), with the accuracy known. After the first seeds: what these show, scaled to more seeds.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))

from bank import TARGET  # noqa: E402
from bank_replay import WITH_LINEAR  # noqa: E402

from lrlab.recipes.kitchen.stats.decide import decide  # noqa: E402
from lrlab.recipes.kitchen.stats.forecast import independent_gap, later_gap, shown_gap  # noqa: E402

IMAGES = {"digits": 450, "solar": 655, "cifar": 1000, "fashion": 1000}  # that a run is measured on
SEEDS, RESAMPLES, CLOSE = (3, 5, 8), 60, 0.25


def shown_gaps(bank: pd.DataFrame) -> pd.DataFrame:
    "The gaps that 3, 5 and 8 seeds show, one row per resample: the first 3 and 5 of its 8 seeds."
    seeds, rng = bank.seed.unique(), np.random.default_rng(0)
    rows = []
    for _ in range(RESAMPLES):
        drawn = rng.choice(seeds, SEEDS[-1], replace=False)
        rows.append([shown_gap(decide(bank[bank.seed.isin(drawn[:n])])) for n in SEEDS])
    return pd.DataFrame(rows, columns=SEEDS)


def main() -> None:
    banks = {name: pd.read_csv(TARGET / f"{name}.csv.gz") for name in IMAGES}
    banks = {name: bank[bank.schedule.isin(WITH_LINEAR) & (bank.status == "ok")] for name, bank in banks.items()}
    gaps = {name: shown_gaps(bank) for name, bank in banks.items()}
    accuracy = {name: float(bank.accuracy.mean()) for name, bank in banks.items()}
    shown = {name: own[5].median() for name, own in gaps.items()}
    unit = {name: independent_gap(n, 5, accuracy[name]) for name, n in IMAGES.items()}
    rows = []
    for name, n in IMAGES.items():
        others = [np.log(shown[other] / unit[other]) for other in IMAGES if other != name]
        later = {f"from {a} to {b}": later_gap(gaps[name][a], a, b) / gaps[name][b] for a, b in ((3, 5), (5, 8))}
        rows.append(
            {"data": name, "images": n, "accuracy": accuracy[name], "shown": shown[name]}
            | {"share": shown[name] / unit[name], "before / shown": unit[name] * np.exp(np.mean(others)) / shown[name]}
            | {f"{step} / shown": ratio.median() for step, ratio in later.items()}
            | {f"{step}, close": (abs(ratio - 1) <= CLOSE).mean() for step, ratio in later.items()}
        )
    table = pd.DataFrame(rows).round(4)
    table.to_csv(TARGET / "forecast.csv", index=False)
    print(table.T.to_string(header=False))


if __name__ == "__main__":
    main()
