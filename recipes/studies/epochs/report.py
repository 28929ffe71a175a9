"""Rebuilds the tables, the figure and the text of `lrlab epochs` from its stored runs. Never trains."""

import textwrap
from dataclasses import dataclass

import pandas as pd

from lrlab.recipes.kitchen.errors import NothingFinished
from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.learning_rates import LearningRate, acting_lr
from lrlab.recipes.kitchen.stats.baseline import majority_accuracy, nothing_learned
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.kitchen.stats.summary import measured_on, value_header
from lrlab.recipes.kitchen.store.reading import extra_table, failures, rewrite_runs, why_none_finished
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.text import plural, show_share, text_table
from lrlab.recipes.kitchen.training_code import training_code
from lrlab.recipes.studies.epochs import figure
from lrlab.recipes.studies.epochs.enough import COOLDOWN, beside, enough, finding, judge_budgets


@dataclass
class Answer:
    """`summary`: one row for each budget, and for each budget of the schedule beside them; `runs`: runs.csv.

    `enough` is the shortest budget that is enough, None if that is open or the longest is still better.
    """

    runs: pd.DataFrame
    summary: pd.DataFrame
    enough: int | None
    verdict: str  # the answer in one sentence
    text: str
    stopped: bool = False  # by Ctrl-C


def redraw(store: Store, stopped: bool = False) -> Answer:
    "Tables, figure and text from the stored runs alone."
    runs, _, trained = rewrite_runs(store)
    if not ((trained.schedule == COOLDOWN) & (trained.status == "ok")).any():
        raise NothingFinished(f"{store.out}: no cooldown finished; {why_none_finished(runs)}")
    question = store.manifest.question
    measure, tolerance = Measure.of_question(question), question.get("tolerance")
    table = judge_budgets(trained, measure, tolerance, question.get("looks", 1))
    other, cost = beside(trained, measure), cost_of(store, trained)
    summary = summarize(trained, table, other, cost)
    store.write_tables(summary=summary)
    config = store.manifest.to_dict()
    guessed = majority_accuracy(config, measure)
    title = nothing_learned(table["mean"], guessed, "number of epochs") or finding(table, measure, tolerance)
    shortest = enough(table)
    cooled = trained[(trained.schedule == COOLDOWN) & (trained.steps > 0)].sort_values("seed", kind="stable")
    steps = {row.budget: store.steps(row.run_id) for row in cooled.drop_duplicates("budget").itertuples()}
    fig = figure.draw(trained, table, other, steps, config, title, shortest)
    style.save(fig, store.out / "epochs.png")
    lines = [
        *failures(runs),
        rows_of(summary, measure, measured_on(trained, measure.judge)),
        "",
        f"{title}.",
        *beside_words(other, table, measure, bool(question.get("tuning"))),
        cost_words(cost),
        *use(summary, shortest, store),
        *_unfinished(question, runs),
        f"Figure: {store.out / 'epochs.png'}",
    ]
    return Answer(runs, summary, shortest, f"{title}.", "\n".join(lines), stopped)


def cost_of(store: Store, runs: pd.DataFrame) -> pd.DataFrame:
    "The epochs that were trained for every cooldown that finished: run_id, epochs_trained, and its budget."
    cooled = runs[(runs.schedule == COOLDOWN) & (runs.status == "ok")]
    table = extra_table(store, cooled, "branch.csv")
    return table.assign(budget=table.run_id.map(cooled.set_index("run_id").budget))


def summarize(runs: pd.DataFrame, table: pd.DataFrame, other: pd.DataFrame, cost: pd.DataFrame) -> pd.DataFrame:
    "The budgets of the cooldowns, then those of the schedule beside them; what one of the two lacks is empty."
    cooled = runs[runs.schedule == COOLDOWN].groupby("budget").lr_max.first()
    trained = cost.groupby("budget").epochs_trained.mean()
    budgets = table.assign(schedule=COOLDOWN, lr_max=table.budget.map(cooled), epochs_trained=table.budget.map(trained))
    both = pd.concat([budgets, other]) if len(other) else budgets
    columns = "schedule budget lr_max n mean low high behind behind_low behind_high verdict epochs_trained".split()
    return both.reindex(columns=[*columns, "diff", "diff_low", "diff_high"]).reset_index(drop=True)


def rows_of(summary: pd.DataFrame, measure: Measure, on: str) -> str:
    "The budgets as a table for the terminal."
    rows = [
        {
            "epochs": int(row.budget),
            "n": int(row.n),
            f"{value_header(measure, on)} (95 %)": measure.show(row["mean"], row.low, row.high),
            f"{measure.unit} vs best": ""
            if row.verdict == "best"
            else measure.show_difference(row.behind, row.behind_low, row.behind_high),
            "verdict": row.verdict,
        }
        for _, row in summary[summary.schedule == COOLDOWN].iterrows()
    ]
    return text_table(rows)


def beside_words(other: pd.DataFrame, table: pd.DataFrame, measure: Measure, is_tuned: bool) -> list[str]:
    "A sentence for every budget with another schedule beside the cooldown."
    means, label = table.set_index("budget")["mean"], "tuned" if is_tuned else "untuned"
    return [
        f"At {plural(row.budget, 'epoch')} the cooldown reaches {measure.with_unit(means[row.budget])}, {label} "
        f"{row.schedule} (lr_max {row.lr_max}) {measure.with_unit(row.mean)}; difference "
        f"{measure.show_difference(row.diff, row.diff_low, row.diff_high)} {measure.unit}."
        for row in other.itertuples()
        if row.n and means.notna()[row.budget]
    ]


def cost_words(cost: pd.DataFrame) -> str:
    "Epochs trained for the cooldowns, beside those of separate runs."
    separate = int(cost.budget.sum())
    saved = 1 - cost.epochs_trained.sum() / separate if separate else 0.0
    return (
        f"The cooldowns took {cost.epochs_trained.sum():.4g} epochs of training; separate runs take {separate} "
        f"({show_share(saved, 0)} saved)."
    )


def use(summary: pd.DataFrame, shortest: int | None, store: Store) -> list[str]:
    "How to train with the shortest budget that is enough, else with the best one, and how to go on."
    question, best = store.manifest.question, summary[summary.verdict == "best"].iloc[0]
    epochs, lr = shortest or int(best.budget), acting_lr(LearningRate.parse(best.lr_max), store.manifest.groups)
    code = training_code(store.manifest.to_dict(), question["schedule"], epochs, lr, "Extendable('run.pth')")
    size = sum(file.stat().st_size for file in (store.out / "trunks").glob("*.pth")) / 1e6
    kept = f" the trunks in {store.out / 'trunks'} ({size:.0f} MB; it may be deleted)" if size else ""
    more = f"--seeds {2 * len(question['seeds'])} adds seeds, --epochs {2 * max(question['epochs'])} continues{kept}."
    return ["To train with it:", "", textwrap.indent(code, "    "), "", f"The same command with {more}"]


def _unfinished(question: dict, runs: pd.DataFrame) -> list[str]:
    left = len(question["epochs"]) * len(question["seeds"]) - int((runs.schedule == COOLDOWN).sum())
    return [f"{plural(left, 'run')} of the cooldowns unfinished: the same command continues."] if left > 0 else []
