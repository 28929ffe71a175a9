"""Each of fastai's callbacks beside each of ours, and the committed table of what works."""

from __future__ import annotations

import importlib.util
from pathlib import Path

spec = importlib.util.spec_from_file_location("pairs_table", Path(__file__).with_name("pairs_table.py"))
pairs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pairs)


def test_every_pair_works_or_is_refused_and_the_table_says_so():
    outcomes = pairs.table()
    for (fastais, ours), outcome in outcomes.items():
        expected = "works" if ours in pairs.CHANGES_WEIGHTS else "same"
        refused = len(outcome.split()) > 8
        assert outcome == expected or refused, (fastais, ours, outcome)
    assert pairs.text(outcomes).split("\nMade with")[0] == pairs.README.read_text().split("\nMade with")[0]
