"""lrlab speed: ratios of a table whose answer is known, and the rivals on a few real images."""

import inspect

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lrlab.recipes import compare
from lrlab.recipes.kitchen.data.catalog import load
from lrlab.recipes.kitchen.options import parse_seeds
from lrlab.recipes.kitchen.schedule_names import split_schedules
from lrlab.recipes.studies.speed import baselines as rivals
from lrlab.recipes.studies.speed import report as speed_report
from lrlab.recipes.studies.speed import study as speed
from lrlab.recipes.studies.speed.report import BARE, LRLAB, SMALL_FILES, STOCK


def table(stock_accuracy=(0.75, 0.77, 0.76)) -> pd.DataFrame:
    "Three repeats of measurements with round ratios."
    rows = []
    for repeat in range(3):
        rows += [
            ("run", arm, repeat, seconds, "") for arm, seconds in ((STOCK, 40.0), (SMALL_FILES, 16.0), (LRLAB, 4.0))
        ]
        rows += [("accuracy", STOCK, repeat, stock_accuracy[repeat], ""), ("accuracy", SMALL_FILES, repeat, 0.76, "")]
        rows += [("accuracy", LRLAB, repeat, value, "") for value in (0.75, 0.77 + repeat / 1000)]
        rows += [("start-up", STOCK, repeat, 5.0, ""), ("start-up", LRLAB, repeat, 12.0, "")]
        rows += [("factor", arm, repeat, value, "") for arm, value in ((STOCK, 100.0), ("+ decoded once", 300.0))]
        rows += [("one process, small", arm, repeat, v, "") for arm, v in ((BARE, 100.0), (LRLAB, 97.0))]
    steps = {"lrlab ScheduleLR": 0.7, "torch CyclicLR": 6.0, "torch OneCycleLR": 12.0, "fastai ParamScheduler": 60.0}
    rows += [("step", arm, 0, cost, "") for arm, cost in steps.items()]
    return pd.DataFrame(rows, columns=speed.COLUMNS)


def test_the_timed_comparison_is_that_of_lrlab_compare():
    defaults = {name: option.default for name, option in inspect.signature(compare.main).parameters.items()}
    schedules, seeds = split_schedules(defaults["schedules"]), parse_seeds(defaults["seeds"])
    assert (len(schedules) * len(seeds), defaults["epochs"]) == (speed_report.RUNS, speed_report.EPOCHS)


def test_ratios_of_a_known_table():
    name = f"{STOCK} / lrlab, minutes to the decision"
    # 40 runs and the start once: (40 * 40 + 5) / (40 * 4 + 12)
    assert np.allclose(speed_report.ratios(table(), epochs=4)[name], 1605 / 172)
    found = speed_report.ratios(table(), epochs=1)
    assert np.allclose(found[name], 6405 / 652)
    assert np.allclose(found[f"lrlab / {BARE}, images/s in one process, small"], 0.97)
    assert np.allclose(found["factor of decoded once"], 3.0)
    assert found["lrlab / torch's cheapest, one scheduler step"] == pytest.approx(0.7 / 6)


@pytest.mark.parametrize(
    ("stock", "verdict"), [((0.75, 0.77, 0.76), "equal within noise"), ((0.90, 0.901, 0.902), "not equal")]
)
def test_the_accuracies_are_compared(stock, verdict):
    text = speed_report.sentences(table(stock), 4)
    assert (
        text[-1].endswith(f"{verdict}.")
        and sum("minutes to the decision of lrlab compare" in line for line in text) == 3
    )


def test_the_figure_names_every_arm():
    config = {"question": {"epochs": 4, "repeats": 3, "size": 48}, "machine": {"cpu": "x", "cores": 2}, "device": "cpu"}
    fig = speed_report.draw(table(), config)
    assert fig.get_suptitle() == "lrlab answers 9 times as fast as a stock fastai loop"
    labels = [label.get_text() for ax in fig.axes for label in ax.get_yticklabels()]
    assert {"lrlab", "+ decoded once", "torch CyclicLR"} <= {label.replace("\n", " ") for label in labels}


def test_the_stock_loop_and_the_bare_loop_train_on_the_same_images(tmp_path):
    rng = np.random.default_rng(0)
    for name, darkest in (("dark", 0), ("light", 130)):
        (tmp_path / name).mkdir()
        for i in range(100):
            pixels = rng.integers(darkest, darkest + 120, (20, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.png")
    image_set = load(str(tmp_path), 16, cache=False)
    files = rivals.image_table(image_set, list(image_set.files))
    assert files.is_valid.sum() == len(image_set.splits["valid"]) and set(files.label) == {"dark", "light"}
    stock = rivals.stock_fastai(files, tmp_path, 16, 2, seed=0)
    bare = rivals.bare_loop(image_set, "small", 2, 0, bf16=False)
    assert stock.images == bare.images == 2 * 2 * rivals.BS  # whole batches of 150 training images, two epochs
    assert min(stock.accuracy, bare.accuracy) > 0.9 and min(stock.images_per_second, bare.images_per_second) > 1
    copies = rivals.resized_copies(image_set, tmp_path)
    assert len(copies) == 200 and all((tmp_path / name).exists() for name in copies)
