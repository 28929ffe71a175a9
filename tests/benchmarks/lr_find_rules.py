"""How far one LR range test can be trusted, and the median of three, by the suggestions of many seeds.

    lrlab lr-find --seeds 20 --out results/lr_find-solar
    lrlab lr-find --data digits --seeds 20 --out results/lr_find-digits
    python tests/benchmarks/lr_find_rules.py results/lr_find-solar results/lr_find-digits

Prints, for every rule, the ratio of the largest to the smallest of 90 % of the suggestions: of single seeds, and of the
medians of all groups of three.
"""

import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from lrlab.recipes.kitchen.learning_rates import format_number
from lrlab.recipes.kitchen.text import text_table


def spread(lrs: np.ndarray) -> float:
    "The 95th over the 5th percentile."
    low, high = np.percentile(lrs, [5, 95])
    return high / low


def main(folders: list[str]) -> None:
    rows = []
    for folder in folders:
        for rule, lrs in pd.read_csv(Path(folder) / "suggestions.csv").groupby("rule", sort=False).lr:
            medians = np.array([np.median(group) for group in combinations(lrs, 3)])
            rows.append(
                {
                    "data": Path(folder).name,
                    "rule": rule,
                    "seeds": len(lrs),
                    "median": format_number(float(f"{lrs.median():.1e}")),
                    "one seed": f"{spread(lrs.to_numpy()):.1f}",
                    "median of 3": f"{spread(medians):.1f}",
                }
            )
    print(text_table(rows))


if __name__ == "__main__":
    main(sys.argv[1:])
