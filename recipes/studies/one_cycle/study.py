"""The tutorial's own way to train: the head first, lr_find, then `fit_one_cycle` with a slice. One run, one figure."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from fastai.interpret import ClassificationInterpretation
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from lrlab.callbacks import HyperHistory
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.figures import plots
from lrlab.recipes.kitchen.grid.runner import EpochLog
from lrlab.recipes.kitchen.machine.environment import environment
from lrlab.recipes.kitchen.models.layer_groups import group_names
from lrlab.recipes.kitchen.options import show_lr
from lrlab.recipes.kitchen.runs.out_of_memory import batch_size, said, split_batches, with_smaller_batches
from lrlab.recipes.kitchen.store.store import Store, write_atomically
from lrlab.recipes.kitchen.workloads import Workload, use_threads
from lrlab.recipes.studies.lr_find.study import quiet_range_test, suggested_lr


@dataclass
class OneCycleRun:
    "The tables `epochs`, `steps` (as HyperHistory records them) and `confusion` (counts, true class by row)."

    epochs: pd.DataFrame
    steps: pd.DataFrame
    confusion: pd.DataFrame
    text: str


def one_cycle(
    workload: Workload, epochs: int, lr_max: float | slice | None, seed: int, out: Path | str, fresh: bool = False
) -> OneCycleRun:
    "Train (or read, if the folder has the run) and draw; writes lr_find, epochs, steps, confusion .csv and a figure."
    image_set = workload.load_images()
    use_threads()
    workload = workload.settled(image_set)
    workload.learner(seed, image_set)  # what cannot be built is refused before anything is written
    asked = "find" if lr_max is None else show_lr(lr_max)
    question = {**workload.to_dict(image_set), "epochs": epochs, "lr_max": asked, "seed": seed}
    with Store(out) as store:
        store.begin({"recipe": "one-cycle", "question": question, "data": image_set.describe(), **environment()}, fresh)
        if not (store.out / "confusion.csv").exists():

            def attempt(parts: int) -> None:
                _train(store, workload, image_set, epochs, lr_max, seed, parts)

            said(*with_smaller_batches(attempt, batch_size(workload, image_set)))
        tables = {name: pd.read_csv(store.out / f"{name}.csv") for name in ("epochs", "steps")}
        confusion = pd.read_csv(store.out / "confusion.csv", index_col=0)
        config = store.config
        fig = draw(**tables, confusion=confusion, config=config)
        plots.save(fig, store.out / "one_cycle.png")
        return OneCycleRun(**tables, confusion=confusion, text=_text(tables["epochs"], config, store.out))


def _train(
    store: Store, workload: Workload, image_set, epochs: int, lr_max: float | slice | None, seed: int, parts: int
) -> None:
    learn = split_batches(workload.learner(seed, image_set), parts)
    with learn.no_bar():
        if workload.pretrained:
            print(f"The head alone, {workload.head_epochs} epoch:")
        workload.warm_up_head(learn)
        test = quiet_range_test(learn, 100 * parts)
        write_atomically(store.out / "lr_find.csv", test.to_df().to_csv(index=False))
        valley = suggested_lr(test)
        print(f"lr_find suggests {'no LR' if valley is None else show_lr(valley)}")
        used = workload.spread(valley) if lr_max is None and valley is not None else lr_max
        if used is None:
            raise UserError("`lr_max` find: the LR range test suggests no LR on this data; give `lr_max` a number")
        print(f"learn.fit_one_cycle({epochs}, {show_lr(used)})")
        history, log = HyperHistory(), EpochLog()
        learn.fit_one_cycle(epochs, workload.groups_lr(used), cbs=[history, log])
        matrix = ClassificationInterpretation.from_learner(learn).confusion_matrix()
    steps = history.to_df()
    table = log.to_df(steps)
    write_atomically(store.out / "epochs.csv", table.to_csv(index=False))
    write_atomically(store.out / "steps.csv", steps.to_csv(index=False))
    config = store.config | {"groups": group_names(len(learn.opt.param_lists)), "lr_max": show_lr(used)}
    store.write_config(config | {"lr_find": valley})
    confusion = pd.DataFrame(matrix, index=image_set.classes, columns=image_set.classes)
    write_atomically(store.out / "confusion.csv", confusion.to_csv())


def draw(epochs: pd.DataFrame, steps: pd.DataFrame, confusion: pd.DataFrame, config: dict) -> Figure:
    "The LR of every group, the losses, the accuracy and the confusion matrix of one run."
    groups, per_epoch = config["groups"], steps.step.nunique() / len(epochs)
    fig = Figure(figsize=(12, 7.6))
    (lr, loss), (accuracy, matrix) = fig.subplots(2, 2)
    for group, part in steps.groupby("group"):
        colour = plots.COLOURS[int(group) % len(plots.COLOURS)]
        lr.plot(part.step / per_epoch, part.lr, color=colour, ls=plots.DASHES[int(group) % 8], label=groups[int(group)])
    lr.set(yscale="log", title="learning rate of every layer group", ylabel="learning rate")
    lr.legend(fontsize=8.5, frameon=False, loc="lower left")
    head = steps[steps.group == steps.group.max()]
    loss.plot(head.step / per_epoch, head.loss, color=plots.OTHERS, lw=0.9, label="training, every step")
    loss.plot(epochs.epoch, epochs.train_loss, "s--", color=plots.COLOURS[0], ms=4, label="training, mean of the epoch")
    loss.plot(epochs.epoch, epochs.valid_loss, "o-", color=plots.COLOURS[2], ms=5, label="validation")
    loss.set(title="loss", ylabel="cross-entropy")
    loss.legend(fontsize=8.5, frameon=False)
    accuracy.plot(epochs.epoch, epochs.accuracy, "o-", color=plots.COLOURS[1])
    majority = config["data"]["majority"]
    accuracy.axhline(majority, color="#888888", lw=1, ls=":")
    accuracy.text(0, majority, " always the most frequent class", fontsize=8.5, va="bottom", color="#555555")
    accuracy.set(title="validation accuracy", xlim=(0, len(epochs) + 0.1))
    accuracy.yaxis.set_major_formatter(PercentFormatter(1))
    for ax in (lr, loss, accuracy):
        ax.set_xlabel("epoch")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.spines[["top", "right"]].set_visible(False)
    confusion_matrix(matrix, confusion)
    best = epochs.accuracy.iloc[-1]
    title = f"{config['question']['arch']} reaches {best:.1%} after {len(epochs)} epochs at lr_max = {config['lr_max']}"
    fig.suptitle(title, fontsize=14, fontweight="bold", x=0.02, ha="left")
    data = config["data"]
    note = f"{data['title']}, {data['images']['train']} training and {data['images']['valid']} validation images of "
    note += f"{data['size']} px, one run (seed {config['question']['seed']}): no interval. fastai's fit_one_cycle."
    fig.text(0.02, 0.01, note, fontsize=8.5, color="#444444")
    fig.tight_layout(rect=(0, 0.03, 1, 1))
    return fig


def confusion_matrix(ax, confusion: pd.DataFrame) -> None:
    "Counts, shaded by the share of the true class; the numbers are left out beyond twenty classes."
    counts = confusion.to_numpy()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(confusion)) if len(confusion) <= 20 else range(0, len(confusion), len(confusion) // 10)
    ax.set_xticks(ticks, [str(confusion.columns[i])[:16] for i in ticks], rotation=45 if len(confusion) > 4 else 0)
    ax.set_yticks(ticks, [str(confusion.index[i])[:16] for i in ticks])
    ax.set(title="validation images by class", xlabel="predicted", ylabel="true")
    if len(confusion) <= 20:
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.55 else "black"
            ax.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=9.5)


def _text(epochs: pd.DataFrame, config: dict, out: Path) -> str:
    lines = [f"{'epoch':>5} {'train loss':>11} {'valid loss':>11} {'accuracy':>9}"]
    for row in epochs.itertuples():
        lines.append(f"{row.epoch:>5} {row.train_loss:>11.4f} {row.valid_loss:>11.4f} {row.accuracy:>9.1%}")
    if not np.isfinite(epochs.valid_loss.iloc[-1]):
        lines.append(f"It diverged: the loss is not a number. lr_max = {config['lr_max']} is too high for this model.")
    lines.append(f"Always answering the most frequent class: {config['data']['majority']:.1%}.")
    return "\n".join([*lines, f"Figure: {out / 'one_cycle.png'}"])
