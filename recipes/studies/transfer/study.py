"""From the question of `lrlab transfer` to its answer: lr_find, six arms of equal budget, and what they show."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd

from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.figures import plots
from lrlab.recipes.kitchen.grid.lessons import LessonRun, extra_table, failures, not_failed, stored_runs, train_missing
from lrlab.recipes.kitchen.grid.runner import Run
from lrlab.recipes.kitchen.machine.environment import environment
from lrlab.recipes.kitchen.options import show_lr
from lrlab.recipes.kitchen.runs.frozen_body import head_learner
from lrlab.recipes.kitchen.runs.out_of_memory import batch_size, said, split_batches, with_smaller_batches
from lrlab.recipes.kitchen.stats.summary import summarize
from lrlab.recipes.kitchen.store.store import Store, write_atomically
from lrlab.recipes.kitchen.workloads import Workload, use_threads
from lrlab.recipes.studies.compare.advice import interval
from lrlab.recipes.studies.lr_find.study import quiet_range_test, suggested_lr
from lrlab.recipes.studies.transfer import figure as transfer_figure
from lrlab.recipes.studies.transfer.arms import ARMS, plan, train_arm

REFERENCE = "slice"  # the tutorial's own way
ALL_LAYERS = {"slice", "one_high_lr", "one_low_lr", "gradual"}  # the arms that the LR range test is for


@dataclass(frozen=True)
class Question:
    "Everything that the numbers depend on."

    workload: Workload
    epochs: int  # after one for the head
    lr: slice
    low: float
    seeds: list[int]
    threads: int = 1
    arms: tuple[str, ...] = tuple(ARMS)

    def to_dict(self, image_set: ImageSet) -> dict:
        workload = self.workload.to_dict(image_set)
        own = {"epochs": self.epochs, "lr": show_lr(self.lr), "low": self.low, "seeds": self.seeds}
        return workload | own | {"threads": self.threads, "arms": list(self.arms)}


@dataclass
class Answer:
    "`runs` and `summary` as DESIGN.md has them; `movement`: run_id, schedule, lr_max, seed, group, moved."

    runs: pd.DataFrame
    summary: pd.DataFrame
    movement: pd.DataFrame
    text: str


def answer(question: Question, out: Path | str, jobs: int = 1, fresh: bool = False, find_steps: int = 100) -> Answer:
    "Train what is not there yet; write runs, epochs, summary, movement .csv and transfer.png."
    image_set = question.workload.load_images()
    question = replace(question, workload=question.workload.settled(image_set, question.threads))
    question.workload.learner(
        question.seeds[0], image_set
    )  # what cannot be built is refused before anything is written
    with Store(out) as store:
        config = {"recipe": "transfer", "question": question.to_dict(image_set), "data": image_set.describe()}
        store.begin(config | environment(), fresh)
        if "lr_find" not in store.config and ALL_LAYERS & set(question.arms):
            _find_lr(store, question, image_set, find_steps)
        runs = plan(question.arms, question.lr, question.low, question.epochs, question.seeds)
        bs = batch_size(question.workload, image_set)
        train_missing(store, runs, partial(_train, question=question), image_set, jobs, bs)
        return redraw(store)


def _train(run: Run, image_set: ImageSet, question: Question, parts: int) -> LessonRun:
    workload = replace(question.workload, scratch=run.schedule == "scratch")
    return train_arm(run, image_set, workload, question.workload.head_lr, question.threads, parts)


def _find_lr(store: Store, question: Question, image_set: ImageSet, steps: int) -> None:
    "The tutorial's LR range test, after the head stage and with all layers thawed."
    use_threads(question.threads)

    def attempt(parts: int):
        learn = split_batches(question.workload.learner(question.seeds[0], image_set), parts)
        head = head_learner(learn, question.seeds[0])
        with head.no_bar(), head.no_logging():
            head.fit_one_cycle(1, question.workload.head_lr)
        return quiet_range_test(learn, steps * parts)

    test = said(*with_smaller_batches(attempt, batch_size(question.workload, image_set)))
    write_atomically(store.out / "lr_find.csv", test.to_df().to_csv(index=False))
    store.write_config(store.config | {"lr_find": suggested_lr(test)})


def redraw(store: Store) -> Answer:
    "Tables, figure and text from the stored runs alone."
    runs, epochs = stored_runs(store)
    for name, table in {"runs": runs, "epochs": epochs}.items():
        write_atomically(store.out / f"{name}.csv", table.to_csv(index=False))
    lost, runs = failures(runs), not_failed(store, runs)
    reference = REFERENCE if (runs.schedule == REFERENCE).any() else runs.schedule.iloc[0]
    summary = summarize(runs.assign(budget=runs.budget.max()), reference)  # equal, counting the head's epoch
    moved = extra_table(store, runs, "movement.csv")
    for name, table in {"summary": summary, "movement": moved}.items():
        write_atomically(store.out / f"{name}.csv", table.to_csv(index=False))
    first = runs.drop_duplicates("schedule")
    steps = {row.schedule: store.steps(row.run_id) for row in first.itertuples()}
    title = finding(summary)
    plots.save(
        transfer_figure.draw(runs, epochs, summary, moved, steps, store.config, title), store.out / "transfer.png"
    )
    text = "\n".join([*lost, _text(runs, summary, moved, store, title)])
    return Answer(runs, summary, moved, text)


def finding(summary: pd.DataFrame) -> str:
    "Whether early layers really need tiny changes here: the slice beside one LR for all, and training from scratch."
    arms = summary.set_index("schedule")
    best = arms.index[0]
    parts = []
    if {"one_high_lr", "slice"} <= set(arms.index):
        high = arms.loc["one_high_lr"]
        need = {
            "worse": "Early layers do need smaller LRs here",
            "better": "Tiny LRs for early layers cost accuracy here",
        }
        parts.append(need.get(high.verdict, "Whether early layers need tiny LRs cannot be told here"))
        parts[-1] += f": one high LR is at {_points(high)} against the slice"
    parts.append(f"{'best is' * (len(arms) > 1)} {best} with {_accuracy(arms.loc[best])}".strip())
    if "scratch" in arms.index:
        parts.append(f"from scratch reaches {_accuracy(arms.loc['scratch'])}{_behind(arms.loc['scratch'])}")
    return "; ".join(parts)


def _accuracy(row: pd.Series) -> str:
    return "nothing (it diverged)" if pd.isna(row.accuracy_mean) else f"{row.accuracy_mean:.1%}"


def _behind(row: pd.Series) -> str:
    "How far an arm is behind the best one, with its interval."
    if pd.isna(row.behind_low) or row.behind == 0:
        return ""
    return f", {100 * row.behind:+.1f} points ({100 * row.behind_low:+.1f} to {100 * row.behind_high:+.1f}) from that"


def _points(row: pd.Series) -> str:
    if pd.isna(row["diff"]):
        return "no result"
    interval = "" if pd.isna(row.diff_low) else f" ({100 * row.diff_low:+.1f} to {100 * row.diff_high:+.1f})"
    return f"{100 * row['diff']:+.1f} points{interval}"


def _text(runs: pd.DataFrame, summary: pd.DataFrame, moved: pd.DataFrame, store: Store, title: str) -> str:
    far = moved.groupby(["schedule", "group"], sort=False).moved.mean().unstack(sort=False)
    seconds = runs.groupby("schedule").seconds.mean()
    head = f"{'arm':<12} {'lr_max':<17} {'n':>2}  {'accuracy % (95 %)':<21} {'points vs slice':<23}"
    head += "".join(f"{group:>8}" for group in far.columns) + " clock s"
    lines = [f"{'':<79}weights moved, relative L2", head, "-" * len(head)]
    for row in summary.itertuples():
        accuracy = interval(row.accuracy_mean, row.accuracy_low, row.accuracy_high)
        compared = row.schedule != REFERENCE and REFERENCE in set(summary.schedule)
        points = _points(summary.loc[row.Index]).replace(" points", "") if compared else ""
        how_far = "".join(f"{f'{100 * value:.2g}%':>8}" for value in far.loc[row.schedule])
        lines.append(
            f"{row.schedule:<12} {row.lr_max:<17} {row.n:>2}  {accuracy:<21} {points:<23}{how_far}"
            f"{seconds[row.schedule]:>8.0f}"
        )
    lines += ["", *(f"{arm}: {what}." for arm, what in ARMS.items() if arm in set(summary.schedule))]
    if "lr_find" in store.config:
        found = store.config["lr_find"]
        lines.append(f"lr_find after the head stage suggests {'no LR' if found is None else show_lr(found)}.")
    return "\n".join([*lines, "", title + ".", f"Figure: {store.out / 'transfer.png'}"])
