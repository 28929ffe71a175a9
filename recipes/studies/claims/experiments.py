"""The groups of runs of `lrlab claims`: what each trains on a Bench, and the readings that it takes."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from lrlab.callbacks import Constant, CosineDecay, CosineRestarts, CycleAverage, OneCycle, Triangular
from lrlab.recipes.kitchen.data.image_set import ImageSet, stratified_sample
from lrlab.recipes.kitchen.grid import tuning as tune
from lrlab.recipes.kitchen.learning_rates import LearningRate
from lrlab.recipes.kitchen.models.create import LITE0
from lrlab.recipes.kitchen.runs.plan import Run, plan_runs
from lrlab.recipes.kitchen.runs.recording import Recording
from lrlab.recipes.kitchen.schedule_names import named_schedule
from lrlab.recipes.kitchen.stats.measures import TOLERANCE
from lrlab.recipes.kitchen.stats.summary import tuning_scores
from lrlab.recipes.kitchen.store.tables import RunResult, run_table
from lrlab.recipes.kitchen.workloads import ImageWorkload
from lrlab.recipes.studies.claims import since_2023
from lrlab.recipes.studies.claims.bench import TUNED, Bench
from lrlab.recipes.studies.claims.settings import TRANSFER_PX, early_epochs
from lrlab.recipes.studies.learning_rate import study as lr_lesson
from lrlab.recipes.studies.learning_rate.diagnosis import diagnose, guessing_loss
from lrlab.recipes.studies.snapshot_ensemble import runs as snapshots
from lrlab.recipes.studies.transfer.train import train_arm

HIGH, LOW = 0.1, 1e-6  # the tutorial's
CYCLES = 3  # of the snapshot ensemble
PAIR = ("one_cycle", "step")
SHARE = 0.2  # of the training images are little data
DEFAULT_LR = 1e-3  # fastai's, with which the tutorial unfreezes
BAND_GRID = list(range(-3, 6))  # 9 LRs over four decades: the best one lies above lr_find's suggestion more often
TRANSFER_GRID = [-1, 0, 1, 2]  # LRs around DEFAULT_LR: 3.2e-4 to 1e-2
TRANSFER = {  # the arm of every reading
    "one LR": "one_lr",
    "slice": "slice",
    "gradual": "gradual",
    "head only, first epoch": "head_only",
    "naive, first epoch": "one_lr",
}
TRANSFER_SEEDS = tune.Tuning(len(TRANSFER_GRID), 1).seeds

Tables = list[pd.DataFrame]


def lesson(bench: Bench) -> Tables:
    "The tutorial's four accidents and the right choice."
    runs = [run for run in _lesson_runs(bench) if run.arm in bench.wanted]
    bench.train(runs, "runs of the tutorial's lesson")
    labels = dict.fromkeys(run.arm for run in runs)
    own = {label: [run for run in runs if run.arm == label] for label in labels}
    return [bench.final(label, mine).assign(note=_diagnoses(bench, mine)) for label, mine in own.items()]


def _diagnoses(bench: Bench, runs: list[Run]) -> list[str]:
    "What went wrong in each run, in the words of `lrlab learning-rate`."
    guess = guessing_loss(list(bench.image_set.class_counts("train").values()))
    words = []
    for run, row in zip(runs, bench.rows(runs), strict=True):
        epochs, losses = bench.study.store.epochs(run.run_id), bench.study.store.steps(run.run_id).loss
        failed = row.status == "failed"
        words.append("failed" if failed else diagnose(epochs, losses, guess, row.status == "diverged"))
    return words


def _lesson_runs(bench: Bench) -> list[Run]:
    scale, lr = bench.scale, bench.suggested_lr
    question = lr_lesson.Question(
        bench.study.workload, lr, HIGH, LOW, scale.epochs, scale.long, bench.seeds, bench.study.question.threads
    )
    return lr_lesson.plan(question, lr)


def schedules(bench: Bench) -> Tables:
    "Every schedule at its own best lr_max; SGDR and cosine also at the ends of SGDR's first cycles."
    epochs, seeds = bench.scale.epochs, bench.seeds
    labels = [label for label in TUNED if bench.wanted & {label, f"{label} early"}]
    runs = plan_runs({a: named_schedule(a, epochs) for a in labels}, {a: bench.lr_of(a) for a in labels}, seeds, epochs)
    bench.train(runs, "runs at each schedule's own lr_max")
    own = {label: [run for run in runs if run.arm == label] for label in labels}
    ends = early_epochs(bench.scale.epochs)
    early = dict.fromkeys(ends, 1 / len(ends))
    readings = [bench.final(label, own[label]) for label in labels]
    return readings + [bench.after(f"{a} early", own[a], early) for a in labels if f"{a} early" in bench.wanted]


def clr(bench: Bench) -> Tables:
    "Accuracy at the peaks of a triangular LR and at the troughs around them."
    epochs = bench.scale.clr
    runs = [Run("clr", Triangular(cycle_len=2), bench.lr_of("triangular"), seed, epochs) for seed in bench.seeds]
    bench.train(runs, "runs with cycles of two epochs")
    peaks = [epoch for epoch in range(1, epochs, 2) if epoch >= max(epochs / 2, 2)]
    trough: dict[int, float] = {}
    for peak in peaks:  # a trough before and one after, so that progress during the cycle cancels
        for epoch in (peak - 1, peak + 1):
            trough[epoch] = trough.get(epoch, 0.0) + 0.5 / len(peaks)
    top = dict.fromkeys(peaks, 1 / len(peaks))
    return [bench.after("at the trough", runs, trough), bench.after("at the peak", runs, top)]


def snapshot(bench: Bench) -> Tables:
    "Three snapshots of one run, their ensemble, and one run of a single cycle."
    epochs = bench.scale.snapshots
    shapes = {"sgdr": CosineRestarts(cycle_len=epochs / CYCLES, cycle_mult=1), "cosine": CosineDecay()}
    shapes = shapes if "single cycle" in bench.wanted else {"sgdr": shapes["sgdr"]}
    lrs = {label: bench.lr_of(label) for label in shapes}
    runs = [replace(run, kind="snapshots") for run in plan_runs(shapes, lrs, bench.seeds, epochs)]
    bench.train(runs, task=partial(snapshots.train, workload=bench.study.workload))
    cyclic, single = ([run for run in runs if run.arm == label] for label in ("sgdr", "cosine"))
    return [
        bench.of_model("ensemble", cyclic, "ensemble"),
        bench.of_model("last snapshot", cyclic, f"snapshot {CYCLES}"),
        bench.of_model("single cycle", single, "final"),
    ]


def averaging(bench: Bench) -> Tables:
    "A constant LR's last iterate, and the average of its weights over the second half of the epochs."
    epochs, lr = bench.scale.epochs, bench.lr_of("constant")
    runs = [Run("constant", Constant(), lr, seed, epochs, "averaged") for seed in bench.seeds]
    bench.train(runs, task=partial(train_averaged, workload=bench.study.workload))
    return [bench.of_model("average", runs, "average"), bench.of_model("last iterate", runs, "last")]


def train_averaged(run: Run, image_set: ImageSet, workload: ImageWorkload) -> RunResult:
    "One run; `models.csv` has its last iterate and the average of its weights at the ends of the later epochs."
    recording = Recording()
    learn = workload.learner(run.seed, image_set)
    with learn.no_bar(), learn.no_logging():
        average = CycleAverage(every=1, skip=run.epochs // 2)
        cbs = [*recording.callbacks(), average]
        learn.fit_schedule(run.epochs, run.schedule, lr_max=run.lr_max.to_fastai(), cbs=cbs)
        mean = learn.validate()
    result = recording.result(run)
    last = (result.row.valid_loss, result.row.accuracy)  # None if it diverged
    columns = ["model", "valid_loss", "accuracy"]
    models = pd.DataFrame([("last", *last), ("average", *mean)], columns=columns)
    return replace(result, extra={"models.csv": run.key.label(models)})


def short(bench: Bench) -> Tables:
    "1cycle and a step schedule with few epochs, and the step schedule with all of them."
    few, epochs = bench.scale.short, bench.scale.epochs
    labels = [label for label in PAIR if f"{label} short" in bench.wanted]
    readings = _pair(bench, few, "short", bench.image_set, labels)
    if "step" not in bench.wanted:
        return readings
    lr = bench.lr_of("step")
    runs = [Run("step", named_schedule("step", epochs), lr, seed, epochs) for seed in bench.seeds]
    bench.train(runs, "runs of step decay with the full budget")
    return [*readings, bench.final("step", runs)]


def little(bench: Bench) -> Tables:
    "1cycle's lead over a step schedule in equally many steps, with all training images and with a fifth of them."
    image_set, few = fifth(bench.image_set), bench.scale.short
    epochs = round(
        few * steps_per_epoch(bench.study.workload, bench.image_set) / steps_per_epoch(bench.study.workload, image_set)
    )
    return [
        lead("lead with all", *_pair(bench, few, "short", bench.image_set)),
        lead("lead with a fifth", *_pair(bench, epochs, "little", image_set)),
    ]


def _pair(bench: Bench, epochs: int, prefix: str, image_set: ImageSet, labels: Sequence[str] = PAIR) -> Tables:
    "1cycle and step decay, or one of them, at a budget of their own. Both are tuned for it: they share a grid."
    shapes = {f"{prefix}_{label}": named_schedule(label, epochs) for label in PAIR}
    lrs = bench.tune(epochs, shapes, image_set=image_set)
    own = {f"{label} {prefix}": f"{prefix}_{label}" for label in labels}
    runs = plan_runs({arm: shapes[arm] for arm in own.values()}, lrs, bench.seeds, epochs)
    bench.train(runs, f"runs of {epochs} epochs on {len(image_set.splits['train']):,} images", image_set=image_set)
    return [bench.final(reading, [run for run in runs if run.arm == arm]) for reading, arm in own.items()]


def fifth(image_set: ImageSet) -> ImageSet:
    "The same images with a fifth of the training images, of every class."
    rows = image_set.splits["train"]
    few = rows[stratified_sample(image_set.labels[rows], SHARE)]
    return replace(image_set, splits=image_set.splits | {"train": few}, strata=None)


def steps_per_epoch(workload: ImageWorkload, image_set: ImageSet) -> int:
    "Whole batches of the training images."
    return len(image_set.splits["train"]) // workload.batch_size(image_set)


def lead(reading: str, ahead: pd.DataFrame, behind: pd.DataFrame) -> pd.DataFrame:
    "A reading of the differences of two others, seed by seed; it is diverged or failed where one of them is. No loss."
    both = ahead.merge(behind, on="seed", suffixes=("", "_behind"))
    status = both.status.where(both.status != "ok", both.status_behind)
    lrs = both.lr_max + " and " + both.lr_max_behind
    gap = both.accuracy - both.accuracy_behind
    return both.assign(reading=reading, accuracy=gap, loss=np.nan, status=status, lr_max=lrs)[ahead.columns]


def transfer(bench: Bench) -> Tables:
    "A pretrained model with one LR, a slice, gradual unfreezing, and unfrozen at fastai's default LR."
    workload = replace(bench.study.workload, arch=LITE0, size=TRANSFER_PX, precision=bench.precision)
    image_set, epochs = workload.load(), bench.scale.transfer
    workload = workload.resolve(image_set)
    options: dict[str, Any] = {
        "task": partial(train_arm, workload=workload, head_lr=workload.head_lr),
        "workload": workload,
        "image_set": image_set,
    }
    naive_lr = LearningRate(DEFAULT_LR)
    asked = {reading: arm for reading, arm in TRANSFER.items() if reading in bench.wanted}
    centres = {"one_lr": naive_lr, "slice": workload.spread(DEFAULT_LR)}
    tuned_as = {"one LR": "one_lr", "slice": "slice", "gradual": "slice"}
    best = {}
    for arm in dict.fromkeys(tuned_as[reading] for reading in asked if reading in tuned_as):
        trials = tune.trials({epochs: {arm: OneCycle()}}, centres[arm], TRANSFER_GRID, TRANSFER_SEEDS)
        bench.train(trials, **options)
        scores = tuning_scores(run_table(bench.rows(trials)))
        best[arm] = tune.lr_at(centres[arm], tune.best_positions(scores, centres[arm], TRANSFER_GRID)[epochs, arm])
    lrs = {reading: best[tuned_as[reading]] if reading in tuned_as else naive_lr for reading in asked}
    own = {
        reading: [Run(arm, OneCycle(), lrs[reading], seed, epochs) for seed in bench.seeds]
        for reading, arm in asked.items()
    }
    by_seed = [run for runs in zip(*own.values(), strict=True) for run in runs]
    bench.train(list({run.run_id: run for run in by_seed}.values()), **options)
    return [
        bench.after(reading, runs, {1: 1.0}) if reading.endswith("first epoch") else bench.final(reading, runs)
        for reading, runs in own.items()
    ]


def lr_find(bench: Bench) -> Tables:
    "A constant LR and 1cycle at lr_find's suggestion, and at the best LR of the grid."
    epochs, readings = bench.scale.epochs, []
    right = [run for run in _lesson_runs(bench) if run.arm == "right"]
    for label in [label for label in ("constant", "one_cycle") if label in bench.wanted]:
        shape = named_schedule(label, epochs)
        tuned = [Run(label, shape, bench.lr_of(label), seed, epochs) for seed in bench.seeds]
        found = (
            right if label == "constant" else [replace(run, lr_max=LearningRate(bench.suggested_lr)) for run in tuned]
        )
        bench.train([*tuned, *(run for run in found if run not in tuned)], "runs at lr_find's LR and at the grid's")
        readings += [bench.final(label, tuned), bench.final(f"{label} at lr_find's", found)]
    return readings


def safe_band(bench: Bench) -> Tables:
    "For a constant LR and a linear decay: the share of a grid's LRs that miss at most a point against its best LR."
    epochs = bench.scale.short
    shapes = {label: named_schedule(label, epochs) for label in ("constant", "linear") if label in bench.wanted}
    trials = tune.trials({epochs: shapes}, LearningRate(bench.suggested_lr), BAND_GRID, bench.seeds)
    runs = [replace(run, kind="band") for run in trials]
    bench.train(runs, f"runs at {len(BAND_GRID)} LRs")
    return [share_within_a_point(bench.final(label, [run for run in runs if run.arm == label])) for label in shapes]


def share_within_a_point(table: pd.DataFrame) -> pd.DataFrame:
    """A reading for every seed, from those of one schedule at every LR of a grid. A diverged run is not within a point.

    The best LR is that of the best mean among those that never diverged. A seed with a failed run has no reading.
    """
    finished = table.assign(accuracy=table.accuracy.where(table.status == "ok"))
    by_lr = finished.pivot(index="seed", columns="lr_max", values="accuracy")
    means = by_lr.mean().where(by_lr.notna().all())
    best = means.idxmax() if means.notna().any() else ""
    least = by_lr[best] - TOLERANCE - 1e-6 if best else np.inf
    is_failed = table.status.eq("failed").groupby(table.seed).any()
    return pd.DataFrame(
        {
            "reading": table.reading.iloc[0],
            "seed": by_lr.index,
            "accuracy": by_lr.ge(least, axis=0).mean(axis=1).mask(is_failed).to_numpy(),
            "loss": np.nan,
            "status": is_failed.map({True: "failed", False: "ok" if best else "diverged"}).to_numpy(),
            "lr_max": best,
            "note": "",
        }
    )


GROUPS: dict[str, Callable[[Bench], Tables]] = {
    "lesson": lesson,
    "tuned": schedules,
    "lr_find": lr_find,
    "clr": clr,
    "snapshots": snapshot,
    "averaging": averaging,
    "short": short,
    "little": little,
    "cooldown": since_2023.cooldowns,
    "tail": since_2023.tail,
    "schedule_free": since_2023.schedule_free,
    "prodigy": since_2023.prodigy,
    "transfer": transfer,
    "band": safe_band,
}
