"""The rules of `decide` on real runs: resamples of the bank, judged as if they were all the seeds there are.

    python tests/benchmarks/bank_replay.py      # reads results/reference/bank/*.csv.gz, writes replay.csv there

The means over all seeds of the bank stand for the truth. Every resample takes 3, 5 or 8 seeds without replacement, or
3 for all schedules and 8 for the open ones.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))

from bank import BANKS, TARGET  # noqa: E402
from decide_simulations import ALPHA, judge_comparison, two_stages  # noqa: E402

from lrlab.recipes.kitchen.stats.measures import Measure  # noqa: E402

JUDGES = ("accuracy", "-loss", "-brier", "-scaled_loss")
DESIGNS = ((3, None), (5, None), (8, None), (8, 3))
EIGHT = ["constant", "step", "exponential", "cosine", "triangular", "triangular2", "sgdr", "one_cycle"]
WITH_LINEAR = [name if name != "exponential" else "linear" for name in EIGHT]
RESAMPLES = 500


def values_of(bank: pd.DataFrame, judge: str, schedules: list[str]) -> np.ndarray:
    "The measure [schedules, seeds], higher is better."
    table = bank.pivot(index="schedule", columns="seed", values=judge.removeprefix("-")).loc[schedules]
    return (-1 if judge.startswith("-") else 1) * table.to_numpy()


def replay(bank: pd.DataFrame, judge: str, schedules: list[str], n: int, first: int | None) -> dict:
    "How much is decided, how often a word is wrong, and what the recommended schedule costs in accuracy."
    values, accuracy = values_of(bank, judge, schedules), values_of(bank, "accuracy", schedules).mean(axis=1)
    truth = values.mean(axis=1)
    tolerance = Measure.of(judge).margin(None, truth.max())
    rng = np.random.default_rng(0)
    rows, behind, best = [], np.zeros(len(schedules)), np.zeros(len(schedules))
    for _ in range(RESAMPLES):
        sample = values[:, rng.choice(values.shape[1], n, replace=False)]
        row = (
            two_stages(sample, truth, first, tolerance) if first else judge_comparison(sample, truth, ALPHA, tolerance)
        )
        behind += row.pop("is behind")
        best[row["best"]] += 1
        rows.append(row | {"accuracy lost": accuracy.max() - accuracy[row["best"]]})
    table = pd.DataFrame(rows).drop(columns=["open", "best"]).astype(float)
    return {
        **table.mean().to_dict(),
        "decides none": float((table.decided == 0).mean()),
        "names behind or as good": float(((table.behind + table["as good"]) > 0).mean()),
        "behind here, best there": float(behind @ best) / RESAMPLES**2,
        "recommended most often": schedules[int(best.argmax())],
        "truly best": schedules[int(truth.argmax())],
    }


def main() -> None:
    rows = []
    for name in BANKS:
        file = TARGET / f"{name}.csv.gz"
        if not file.exists():
            continue
        bank = pd.read_csv(file)
        whole = bank.groupby("seed").status.transform(lambda status: (status == "ok").all())
        bank = bank[whole]
        for arms, schedules in (("the eight", EIGHT), ("linear for exponential", WITH_LINEAR)):
            for judge in JUDGES:
                for n, first in DESIGNS:
                    key = {"data": name, "seeds in the bank": bank.seed.nunique(), "arms": arms, "judge": judge}
                    key["seeds"] = f"{first}, then {n}" if first else str(n)
                    rows.append(key | replay(bank, judge, schedules, n, first))
                    print(*rows[-1].values(), flush=True)
    pd.DataFrame(rows).round(4).to_csv(TARGET / "replay.csv", index=False)


if __name__ == "__main__":
    main()
