"""`lrlab best` beside fastai's `vision_learner(...).fine_tune(n)` with its defaults, in the same time.

    python tests/benchmarks/best_against_fine_tune.py --minutes 2 --seeds 0,1 --data solar,cifar:2000 --out my-folder

Every data set is written as a folder of PNG files, and some of its images are held out from both. Both get the same
folder. fastai gets `ImageDataLoaders.from_folder(valid_pct=0.2)`, `Resize` to the largest size at which FIT epochs fit,
`aug_transforms()`, the same model and weights, and n as large as fits, by the time of one epoch that is not counted; at
least 1, even if that takes longer. `--clock cpu` counts seconds of the processor instead, with one thread and without
worker processes: on a busy machine that is fair, and stands for an idle machine with one core.

Writes against_fine_tune.csv and a page, README.md. Columns: data, seed, method, accuracy on the held-out images,
reported (`lrlab best`: by its own test), seconds, how.
"""

import argparse
import shutil
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from lrlab.recipes import load_model, prepare_torchvision
from lrlab.recipes.kitchen.data.catalog import DATASETS, load, split_count
from lrlab.recipes.kitchen.data.image_set import ImageSet, stratified_split
from lrlab.recipes.kitchen.learner.saved_model import predict_files
from lrlab.recipes.kitchen.machine.environment import environment
from lrlab.recipes.kitchen.models.create import efficientnet_lite0
from lrlab.recipes.kitchen.text import percent, plural
from lrlab.recipes.kitchen.workloads import make_workload, use_threads
from lrlab.recipes.studies.best import plan, study

ARCH, TIMM = "efficientnet_lite0", "tf_efficientnet_lite0"
NATIVE = {"solar": 300, "cifar": 32, "fashion_mnist": 28}  # pixels
HELD_OUT = 0.3
MOST_HELD_OUT = 1000
FIT = 4  # epochs


def write_folder(name: str, folder: Path, seed: int) -> tuple[Path, list[Path], list[str]]:
    "The images as PNG files: a folder with a folder for each class, and the held-out files with their labels."
    source = split_count(name)[0]
    images = load(name, NATIVE.get(source, DATASETS[source].size))
    rows = np.sort(np.concatenate(list(images.splits.values())))
    parts = stratified_split(images.labels[rows], HELD_OUT, seed)
    used, held = rows[parts["train"]], rows[parts["valid"]]
    if len(held) > MOST_HELD_OUT:
        held = held[stratified_split(images.labels[held], MOST_HELD_OUT / len(held), seed)["valid"]]
    for row in used:
        write(images, row, folder / "images")
    files = [write(images, row, folder / "held-out") for row in held]
    return folder / "images", files, [file.parent.name for file in files]


def write(images: ImageSet, row: int, folder: Path) -> Path:
    label = images.classes[images.labels[row]].replace("/", " or ")  # T-shirt/top would be two folders
    file = folder / label / f"{row}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = images.images[row]
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file)
    return file


def run_best(folder: Path, minutes: float, seed: int, clock, threads: int | None) -> dict:
    out = folder.parent / f"best-{seed}"
    began = clock()
    workload = make_workload(str(folder), ARCH, None, None, "auto", cache=False)
    answer = study.answer(study.Question(workload, minutes, seed, threads), out, clock=clock, began=began)
    taken = clock() - began
    steps = "; ".join(f"{step.name} {step.seconds:.0f} s: {step.decision}" for step in answer.steps)
    speed, n_train = plan.Speed(*answer.steps[0].facts["speed"]), 0.8 * len(list(folder.rglob("*.png")))
    seconds = 60 * minutes / (FIT * n_train)  # for an image
    size = max([size for size in plan.SIZES if speed.at(size).train <= seconds], default=plan.SIZES[0])
    return {
        "learn": load_model(answer.model),
        "seconds": taken,
        "reported": answer.accuracy,
        "size": size,
        "how": steps,
    }


def fastai_learner(folder: Path, size: int, seed: int, workers: int | None):
    from fastai.vision.all import (
        ImageDataLoaders,
        Normalize,
        Resize,
        accuracy,
        aug_transforms,
        imagenet_stats,
        set_seed,
        vision_learner,
    )

    set_seed(seed)
    tfms = [*aug_transforms(), Normalize.from_stats(*imagenet_stats)]
    more = {} if workers is None else {"num_workers": workers}
    dls = ImageDataLoaders.from_folder(
        folder, valid_pct=0.2, seed=seed, item_tfms=Resize(size), batch_tfms=tfms, **more
    )
    learn = vision_learner(dls, TIMM, pretrained=False, metrics=accuracy)  # no network; the same weights as ours
    learn.model[0].load_state_dict(efficientnet_lite0(2)[0].state_dict())
    learn.freeze()
    learn.remove_cb(learn.progress)
    return learn


def run_fine_tune(folder: Path, size: int, minutes: float, seed: int, clock, workers: int | None) -> dict:
    probe = fastai_learner(folder, size, seed, workers)
    began = clock()
    with probe.no_logging():
        probe.fit_one_cycle(1)
    epoch = clock() - began
    n = max(1, int(60 * minutes / epoch) - 1)  # one epoch of the head before
    began = clock()
    learn = fastai_learner(folder, size, seed, workers)
    with learn.no_logging():
        learn.fine_tune(n)
    return {"learn": learn, "seconds": clock() - began, "reported": float("nan"), "how": f"fine_tune({n}) at {size} px"}


def held_out_accuracy(learn, files: list[Path], labels: list[str], is_ours: bool) -> float:
    vocab = list(learn.dls.vocab)
    if is_ours:
        answers = [vocab[p.argmax()] for _, p, _ in predict_files(learn, files)]
    else:
        with learn.no_bar():
            probabilities, _ = learn.get_preds(dl=learn.dls.test_dl(files, num_workers=0))
        answers = [vocab[i] for i in probabilities.argmax(1).tolist()]
    return float(np.mean([answer == label for answer, label in zip(answers, labels, strict=True)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seeds", default="0", help="0,1,2")
    parser.add_argument("--data", default="solar,cifar:1500,fashion_mnist:1500")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--out", type=Path, default=Path("results/best_against_fine_tune"), help="a folder")
    options = parser.parse_args()
    on_cpu = options.clock == "cpu"
    clock, threads, workers = (time.process_time, 1, 0) if on_cpu else (time.monotonic, None, None)
    prepare_torchvision()
    warnings.simplefilter("ignore")
    use_threads(threads)
    rows = []
    for seed in map(int, options.seeds.split(",")):  # outside, so that a table that was stopped has every data set
        for name in options.data.split(","):
            place = Path(tempfile.mkdtemp(prefix="lrlab-best-"))
            folder, files, labels = write_folder(name, place, seed)
            best = run_best(folder, options.minutes, seed, clock, threads)
            use_threads(threads)
            tuned = run_fine_tune(folder, best["size"], options.minutes, seed, clock, workers)
            for method, found in (("lrlab best", best), ("fine_tune", tuned)):
                accuracy = held_out_accuracy(found["learn"], files, labels, method == "lrlab best")
                shown = {"reported": found["reported"], "seconds": round(found["seconds"], 1), "how": found["how"]}
                rows.append({"data": name, "seed": seed, "method": method, "accuracy": accuracy, **shown})
                print(rows[-1], flush=True)
            shutil.rmtree(place)
            write_page(pd.DataFrame(rows), options)


def write_page(table: pd.DataFrame, options: argparse.Namespace) -> None:
    "The table, and what it says."
    options.out.mkdir(parents=True, exist_ok=True)
    table.round(4).to_csv(options.out / "against_fine_tune.csv", index=False)
    ours, theirs = (table[table.method == method] for method in ("lrlab best", "fine_tune"))
    gains = (ours.groupby("data").accuracy.mean() - theirs.groupby("data").accuracy.mean())[list(ours.data.unique())]
    rows = [
        {
            "data": data,
            "seeds": len(own),
            "`lrlab best`, %": percent(own.accuracy.mean()),
            "it reported, %": percent(own.reported.mean()),
            "longest, s": f"{own.seconds.max():.0f}",
            "`fine_tune`, %": percent(other.accuracy.mean()),
            "mean, s": f"{other.seconds.mean():.0f}",
            "points ahead": percent(gains[data], sign="+"),
        }
        for (data, own), (_, other) in zip(
            ours.groupby("data", sort=False), theirs.groupby("data", sort=False), strict=True
        )
    ]
    header = "| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0])
    body = "\n".join("| " + " | ".join(map(str, row.values())) + " |" for row in rows)
    machine, limit = environment(), 60 * options.minutes
    given = f"In {options.minutes:g} minute" + "s" * (options.minutes != 1)
    on_time = int((ours.seconds <= 1.05 * limit).sum())
    seeds = ",".join(map(str, sorted(ours.seed.unique())))
    command = f"python tests/benchmarks/best_against_fine_tune.py --minutes {options.minutes:g} --seeds {seeds}"
    (options.out / "README.md").write_text(
        f"""# Does `lrlab best` beat `fine_tune` in the same time?

{given} it is ahead on {int((gains > 0).sum())} of {plural(len(gains), "data set")}, by
{100 * gains.min():.1f} to {100 * gains.max():.1f} points. It ended in time (within 5 %) in {on_time} of
{plural(len(ours), "run")}. What it reported is {percent((ours.reported - ours.accuracy).mean(), sign="+")} points from
its accuracy on the held-out images, on average.

{header}
{body}

Accuracies are of images that were held out from both. `fine_tune` is fastai's, with its defaults and the same model and
weights, at a size at which {FIT} epochs fit. It runs for as many as fit, and for one at least. The last column of
[against_fine_tune.csv](against_fine_tune.csv) tells how each model was trained.

`{command} --data {options.data}`, {plural(torch.get_num_threads(), "thread")} of {machine["machine"]["cpu"]}, torch
{torch.__version__}, {options.clock} clock, {machine["date"][:10]}, at commit {machine["commit"]}.
""",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
