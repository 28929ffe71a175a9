"""The measurements behind `lrlab speed`: rows of (part, arm, repeat, value), ratios with their spread, one figure."""

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, run

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lrlab.recipes.kitchen import plots, rivals
from lrlab.recipes.kitchen.environment import environment
from lrlab.recipes.kitchen.grid import plan_runs, run_grid
from lrlab.recipes.kitchen.options import parse_schedules
from lrlab.recipes.kitchen.scheduler_step import microseconds_per_update
from lrlab.recipes.kitchen.stats import mean_interval
from lrlab.recipes.kitchen.store import Store, write_atomically
from lrlab.recipes.kitchen.workloads import Workload, resolve_precision, use_threads

GRID = 24  # runs of the default comparison
STOCK, SMALL_FILES, LRLAB = "stock fastai, from files", "stock fastai, from small copies", "lrlab"
COLUMNS = ["part", "arm", "repeat", "value", "unit"]


@dataclass
class Speed:
    "`table`: part, arm, repeat, value, unit; `text`: the ratios in words."

    table: pd.DataFrame
    text: str


def measure(epochs: int, repeats: int, jobs: int, out: Path | str, fresh: bool, large: bool = True) -> Speed:
    "Measure (or read, if the folder has the measurements), draw and tell; writes speed.csv and speed.png."
    with Store(out) as store:
        question = {"epochs": epochs, "repeats": repeats, "jobs": jobs, "large": large}
        store.begin({"recipe": "speed", "question": question, "data": {}, **environment()}, fresh)
        if not (store.out / "speed.csv").exists():
            rows = [*_grid(epochs, repeats, jobs), *_factors(repeats), *_one_process(repeats, large), *_steps()]
            write_atomically(store.out / "speed.csv", pd.DataFrame(rows, columns=COLUMNS).to_csv(index=False))
        table = pd.read_csv(store.out / "speed.csv")
        plots.save(draw(table, store.config), store.out / "speed.png")
        return Speed(table, "\n".join([*sentences(table), f"Figure: {store.out / 'speed.png'}"]))


def _grid(epochs: int, repeats: int, jobs: int) -> list[tuple]:
    "(a), (a') and (b): seconds per run of the default comparison and its accuracy, in turns; what starting costs each."
    workload = Workload()
    photos = workload.photos()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        small = rivals.photo_table(photos, rivals.resized_copies(photos, Path(folder)))
        originals = rivals.photo_table(photos, list(photos.files))
        for repeat in range(repeats):
            for arm, table, where in ((STOCK, originals, _solar_folder()), (SMALL_FILES, small, Path(folder))):
                use_threads()
                timed = rivals.stock_fastai(table, where, photos.size, epochs, seed=repeat)
                rows += _run_rows(arm, repeat, timed.seconds, timed.accuracy)
                _say(rows)
            results = []
            runs = plan_runs(
                parse_schedules("constant", epochs), rivals.LR, range(repeat * jobs, (repeat + 1) * jobs), epochs
            )
            warm_up = plan_runs(parse_schedules("constant", 1), rivals.LR, range(jobs), 1)
            start_up = _seconds(run_grid, warm_up, workload, photos, [].append, jobs)
            seconds = _seconds(run_grid, runs, workload, photos, results.append, jobs)
            for result in results:
                rows += _run_rows(LRLAB, repeat, seconds / jobs, result.row["accuracy"])
            _say(rows)
            rows.append(("start-up", STOCK, repeat, _import_seconds("fastai.vision.all"), "s"))
            rows.append(
                ("start-up", LRLAB, repeat, start_up + _import_seconds("lrlab.recipes.kitchen.comparison"), "s")
            )
    return rows


def _run_rows(arm: str, repeat: int, seconds: float, accuracy: float) -> list[tuple]:
    return [("run", arm, repeat, seconds, "s per run"), ("accuracy", arm, repeat, accuracy, "")]


def _solar_folder() -> Path:
    import elpv_dataset

    return Path(elpv_dataset.__file__).parent / "data"


def _factors(repeats: int) -> list[tuple]:
    "What each step from the stock loop to lrlab's brings: one process, one epoch, images per second."
    photos = Workload().photos()
    colour = photos.__class__(**{**vars(photos), "images": np.repeat(np.asarray(photos.images), 3, axis=3)})
    ladder: list[tuple[str, Callable[[], rivals.Timed]]] = [
        (
            "decoded once, colour, fp32",
            lambda: rivals.bare_loop(colour, "small", 1, 0, bf16=False, channels_last=False),
        ),
        ("+ one grey channel", lambda: rivals.bare_loop(photos, "small", 1, 0, bf16=False, channels_last=False)),
        ("+ channels_last", lambda: rivals.bare_loop(photos, "small", 1, 0, bf16=False)),
        ("+ bf16", lambda: rivals.bare_loop(photos, "small", 1, 0, bf16=True)),
    ]
    use_threads()
    rows = []
    for repeat in range(repeats):
        for arm, train in ladder:
            rows.append(("factor", arm, repeat, train().images_per_second, "images/s"))
    _say(rows)
    return rows


def _one_process(repeats: int, large: bool) -> list[tuple]:
    "(b) in one process of one thread against (c), the bare loop with the same settings, in turns."
    rows = []
    for arch, epochs in [("small", 2), *([("efficientnet_lite0", 1)] if large else [])]:
        workload = Workload(arch=arch, head_epochs=0)
        photos = workload.photos()
        bf16 = resolve_precision("auto") == "bf16"
        runs = plan_runs(parse_schedules("constant", epochs), rivals.LR, range(repeats), epochs)
        for repeat in range(repeats):
            use_threads(1)
            bare = rivals.bare_loop(photos, arch, epochs, repeat, bf16)
            results = []
            run_grid([runs[repeat]], workload, photos, results.append, 1)
            seconds = results[0].epochs.seconds.sum()
            rows.append((f"one process, {arch}", "bare PyTorch", repeat, bare.images_per_second, "images/s"))
            rows.append((f"one process, {arch}", LRLAB, repeat, bare.images / seconds, "images/s"))
        _say(rows)
    return rows


def _steps() -> list[tuple]:
    return [("step", arm, 0, cost, "µs") for arm, cost in microseconds_per_update().items()]


def _seconds(work: Callable, *arguments) -> float:
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


def _import_seconds(module: str) -> float:
    code = f"import lrlab.recipes.kitchen.vision, {module}"
    start = time.perf_counter()
    run([sys.executable, "-c", code], check=True, stdout=DEVNULL)  # noqa: S603  (our own words)
    return time.perf_counter() - start


def _say(rows: list[tuple]) -> None:
    part, arm, repeat, value, unit = next(row for row in reversed(rows) if row[4])
    print(f"{part}: {arm}, repeat {repeat + 1}: {value:.1f} {unit}", flush=True)


def minutes(table: pd.DataFrame) -> dict[str, np.ndarray]:
    "Minutes for the default comparison of 24 runs by arm, one value per repeat: start-up once, then the runs."
    runs, start = (table[table.part == part] for part in ("run", "start-up"))
    found = {}
    for arm in runs.arm.unique():
        per_run = runs[runs.arm == arm].groupby("repeat").value.mean()
        own = start[start.arm == (LRLAB if arm == LRLAB else STOCK)].groupby("repeat").value.mean()
        found[arm] = ((GRID * per_run + own) / 60).to_numpy()
    return found


def ratios(table: pd.DataFrame) -> dict[str, np.ndarray]:
    "Every ratio of the report, one value per repeat: how many times as fast, or the share of the limit."
    took = minutes(table)
    found = {f"{arm} / lrlab, minutes for {GRID} runs": took[arm] / took[LRLAB] for arm in (STOCK, SMALL_FILES)}
    for part in [p for p in table.part.unique() if p.startswith("one process")]:
        speed = table[table.part == part].pivot(index="repeat", columns="arm", values="value")
        found[f"lrlab / bare PyTorch, images/s in {part}"] = (speed[LRLAB] / speed["bare PyTorch"]).to_numpy()
    factors = table[table.part == "factor"].pivot(index="repeat", columns="arm", values="value")
    steps = list(dict.fromkeys(table[table.part == "factor"].arm))
    for before, after in zip(steps, steps[1:], strict=False):
        found[f"factor of {after[2:]}"] = (factors[after] / factors[before]).to_numpy()
    cost = table[table.part == "step"].set_index("arm").value
    found["lrlab / torch's cheapest, one scheduler step"] = np.array([cost["lrlab ScheduleLR"] / _cheapest(cost)])
    found["lrlab / fastai, one scheduler step"] = np.array([cost["lrlab ScheduleLR"] / cost["fastai ParamScheduler"]])
    return found


def _cheapest(cost: pd.Series) -> float:
    return cost[cost.index.str.startswith("torch")].min()


def sentences(table: pd.DataFrame) -> list[str]:
    "The ratios with their spread, and whether the accuracies agree."
    lines = ["", f"{'ratio':<64}{'median':>8}{'lowest':>9}{'highest':>9}"]
    for name, values in ratios(table).items():
        lines.append(f"{name:<64}{np.median(values):>8.2f}{values.min():>9.2f}{values.max():>9.2f}")
    lines.append("")
    accuracy = table[table.part == "accuracy"]
    for arm, took in minutes(table).items():
        mean, low, high = mean_interval(accuracy[accuracy.arm == arm].value)
        lines.append(
            f"{arm}: {np.median(took):.1f} minutes for {GRID} runs, accuracy {mean:.3f} ({low:.3f} to {high:.3f})"
        )
    return lines


def draw(table: pd.DataFrame, config: dict) -> Figure:
    "Minutes for the default comparison, images per second of one process by factor, and the cost of a scheduler step."
    fig = Figure(figsize=(12, 4.6))
    grid, factors, steps = fig.subplots(1, 3, width_ratios=(1.1, 1.1, 1))
    took = minutes(table)
    _bars(grid, {arm: values for arm, values in took.items()}, f"minutes for {GRID} runs", "{:.1f}")
    rows = table[table.part == "factor"]
    _bars(
        factors,
        {a: rows[rows.arm == a].value.to_numpy() for a in dict.fromkeys(rows.arm)},
        "images per second",
        "{:.0f}",
    )
    cost = table[table.part == "step"].set_index("arm").value
    shown = [a for a in cost.index if a.startswith(("lrlab", "timm", "fastai"))]
    torch_arms = [a for a in cost.index if a.startswith("torch")]
    shown = [shown[0], min(torch_arms, key=cost.get), max(torch_arms, key=cost.get), *shown[1:]]
    _bars(steps, {arm: np.array([cost[arm]]) for arm in shown}, "µs per step, four groups (log)", "{:.1f}", log=True)
    grid.set_title("the whole comparison", fontsize=11)
    factors.set_title("where it comes from: one process", fontsize=11)
    steps.set_title("one LR + momentum update", fontsize=11)
    gain = np.median(took[STOCK] / took[LRLAB])
    fig.suptitle(
        f"lrlab answers {gain:.0f} times sooner than a stock fastai loop",
        fontsize=14,
        fontweight="bold",
        x=0.02,
        ha="left",
    )
    machine = config["machine"]
    note = (
        f"Solar cells, small model, 64 px, batch 64; {machine['cpu']}, {machine['cores']} cores, {config['device']}. "
    )
    note += f"Bars: median; dots: every repeat (n = {config['question']['repeats']}), the arms in turns."
    fig.text(0.02, 0.01, note, fontsize=8.5, color="#444444")
    fig.tight_layout(rect=(0, 0.03, 1, 1))
    return fig


def _bars(ax, values: dict[str, np.ndarray], label: str, form: str, log: bool = False) -> None:
    names = list(values)
    medians = [np.median(values[name]) for name in names]
    colours = [plots.COLOURS[2] if name.startswith("lrlab") or "bf16" in name else "#9AA5B1" for name in names]
    ax.barh(range(len(names)), medians, color=colours, height=0.62)
    for row, name in enumerate(names):
        ax.plot(values[name], np.full(len(values[name]), row), "o", ms=3.5, color="black", alpha=0.6)
        ax.text(max(values[name].max(), medians[row]), row, "  " + form.format(medians[row]), va="center", fontsize=9)
    ax.set(yticks=range(len(names)), ylim=(len(names) - 0.4, -0.6), xlabel=label)
    ax.set_yticklabels([name.replace(", ", ",\n") for name in names], fontsize=9)
    ax.set_xscale("log" if log else "linear")
    ax.margins(x=0.18)
    ax.spines[["top", "right"]].set_visible(False)
