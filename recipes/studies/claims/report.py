"""The tables, the figure and the page of `lrlab claims`, of one folder or of several. Nothing here trains."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.store.files import write_atomically
from lrlab.recipes.kitchen.store.manifest import Manifest
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.store.tables import TEXT_COLUMNS
from lrlab.recipes.studies.claims import figure, page
from lrlab.recipes.studies.claims.catalogue import CLAIMS
from lrlab.recipes.studies.claims.settings import words
from lrlab.recipes.studies.claims.verdict import Rule, survives_holm

WORDS = ["addition", "loss_verdict", "lost"]  # columns of claims.csv where nothing is an empty text


@dataclass
class Answer:
    "`claims`: one row a claim and workload (COLUMNS); `runs`: every run behind them; `stopped` by Ctrl-C."

    claims: pd.DataFrame
    runs: pd.DataFrame
    text: str
    stopped: bool = False


@dataclass
class Contents:
    "Contents of a page: rows of claims.csv and runs.csv, the description of every workload, and who made it."

    claims: pd.DataFrame
    runs: pd.DataFrame
    cards: dict[str, dict]  # workload -> title, images, size
    made: list[dict]  # command, date and machine of every folder


def write(store: Store, found: Contents) -> Answer:
    "Write claims.csv, runs.csv, claims.png and README.md, by the scale and the rule of the folder's question."
    question, order = store.manifest.question, {claim.name: i for i, claim in enumerate(CLAIMS)}
    rule = Rule(question["tolerance"], tuple(question["looks"]))
    kept = survives_holm(found.claims.p_value.tolist(), found.claims.verdict.tolist())
    claims = found.claims.assign(holm=kept).sort_values(
        "claim", key=lambda names: names.map(order), kind="stable", ignore_index=True
    )
    store.write_tables(claims=claims, runs=found.runs)
    said, title = words(question["scale"]), page.finding(claims)
    style.save(figure.draw(claims, found.cards, said, title, rule), store.out / "claims.png")
    text = page.page(claims, found.runs, found.cards, said, title, found.made, rule)
    write_atomically(store.out / "README.md", text)
    return Answer(claims, found.runs, page.text(claims, title, store.out))


def without_names(command: str | None) -> str:
    """A command without its program's path, its list of claims, which the page holds, and its folder.

    >>> without_names("claims.py --data digits --claims high-lr,low-lr --out results/claims --until-decided")
    'lrlab claims --data digits --until-decided'
    """
    options = re.sub(r"^\S+( claims)?|--(claims|out)[ =]\S+", "", command or "")
    return " ".join(["lrlab claims", *options.split()])


def made_by(manifest: Manifest) -> list[dict]:
    "Command, date and machine of a folder, or of those that were merged into it."
    own = {"command": without_names(manifest.command), "date": manifest.date, "machine": manifest.machine}
    return manifest.other.get("made", [own])


def read(store: Store) -> Contents:
    "What a folder holds. Raises UserError if it has no table of claims."
    if not store.has("claims", "runs"):
        raise UserError(f"{store.out}: no claims.csv and runs.csv of lrlab claims there")
    claims = store.table("claims").fillna(dict.fromkeys(WORDS, ""))
    runs = store.table("runs", dtype=TEXT_COLUMNS)
    manifests = map(Manifest.read, sorted(path for path in store.out.iterdir() if path.is_dir()))
    cards = store.manifest.other.get("cards") or {own.data["name"]: own.data for own in manifests if own and own.data}
    there = {name: cards[name] for name in claims.workload.unique() if name in cards}
    return Contents(claims, runs, there, made_by(store.manifest))


def redraw(store: Store) -> Answer:
    "The tables, the figure and the page of a folder, from its tables."
    return write(store, read(store))


def merged(stores: list[Store], out: Store) -> Answer:
    """One page in `out` of several folders: other data, other claims. What two of them hold comes from the first.

    Raises UserError for folders of another scale, tolerance or number of looks.
    """
    question = stores[0].manifest.question
    for store in stores[1:]:
        for name in ("scale", "tolerance", "looks"):
            if store.manifest.question.get(name) != question[name]:
                raise UserError(f"{store.out} and {stores[0].out} differ in {name}: one page needs the same rule")
    parts = [read(store) for store in stores]
    cards = {name: card for part in reversed(parts) for name, card in part.cards.items()}
    found = Contents(
        _first_of((part.claims for part in parts), ["claim", "workload"]),
        _first_of((part.runs for part in parts), ["workload", "run_id"]),
        {name: cards[name] for part in parts for name in part.cards},
        [made for part in parts for made in part.made],
    )
    other = {"made": found.made, "cards": found.cards}
    out.write_merged(Manifest("claims", question, merged=[str(store.out) for store in stores], other=other))
    return write(out, found)


def _first_of(tables: Iterable[pd.DataFrame], key: list[str]) -> pd.DataFrame:
    "All rows; of those with the same key, the first."
    return pd.concat(list(tables), ignore_index=True).drop_duplicates(key, ignore_index=True)
