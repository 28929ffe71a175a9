"""Images per second of `lrlab predict`, as a share of what its bare model does with the same files.

    python tests/benchmarks/predict_throughput.py --files 1000 --arch efficientnet_lite0 --size 128

Both arms decode the same files, by the same function and in equally many threads. The bare arm decodes a part of them,
and then calls the model batch by batch. `lrlab predict` does all that a user waits for: it decodes while the model
computes, collects the classes, and prints the table. Loading the model is the start-up, which is not counted. The arms
take turns part by part, so that other programs slow down both. The ratio is that of the total times.
"""

import argparse
import contextlib
import io
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, cpu_count, delayed
from PIL import Image

from lrlab.recipes import build
from lrlab.recipes.kitchen.data.decode import read_image
from lrlab.recipes.kitchen.learner.precision import autocast, precision_of
from lrlab.recipes.kitchen.learner.saved_model import BATCH, load_model, save_model
from lrlab.recipes.kitchen.workloads import using_threads
from lrlab.recipes.studies.predict import study

PART = 128  # files that an arm predicts in its turn
SHAPE = (300, 400, 3)  # of the files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--arch", default="efficientnet_lite0")
    parser.add_argument("--size", type=int, default=128)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = write_files(folder / "images", asked.files)
        learn = build(str(folder / "images"), asked.arch, asked.size, scratch=asked.arch != "small")
        save_model(learn, folder / "model.pkl")
        learn = load_model(folder / "model.pkl")
        seconds = measure(learn, files, asked.size)
    speed = {arm: len(files) / of_arm for arm, of_arm in seconds.items()}
    print(f"{asked.arch}, {asked.size} px, {precision_of(learn)}, {len(files)} files, {cpu_count()} cores")
    for arm, images in speed.items():
        print(f"{arm:<28} {images:8.1f} images/s")
    print(f"lrlab predict / bare model and decoding: {speed['lrlab predict'] / speed['bare model and decoding']:.2f}")


def write_files(folder: Path, count: int) -> list[Path]:
    "JPEG files of coarse noise in two class folders."
    rng, files = np.random.default_rng(0), []
    for i in range(count):
        file = folder / "ab"[i % 2] / f"{i:05}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        coarse = rng.integers(0, 256, (SHAPE[0] // 20, SHAPE[1] // 20, 3), np.uint8)
        Image.fromarray(coarse).resize((SHAPE[1], SHAPE[0])).save(file, quality=90)
        files.append(file)
    return files


def measure(learn, files: Sequence[Path], size: int) -> dict[str, float]:
    "Seconds of every arm for all files."
    study.load_model = lambda _: learn  # the start-up
    seconds = dict.fromkeys(("lrlab predict", "bare model and decoding", "bare model"), 0.0)
    with using_threads():
        bare(learn, decode(files[:BATCH], size))  # not counted
        for start in range(0, len(files), PART):
            part = files[start : start + PART]
            with contextlib.redirect_stdout(io.StringIO()):
                seconds["lrlab predict"] += timed(lambda part=part: print(study.answer("", list(map(str, part))).text))
            images: list[np.ndarray] = []
            decoding = timed(lambda part=part, images=images: images.append(decode(part, size)))
            alone = timed(lambda images=images: bare(learn, images[0]))
            seconds["bare model and decoding"] += decoding + alone
            seconds["bare model"] += alone
    return seconds


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def decode(files: Sequence[Path], size: int) -> np.ndarray:
    "uint8 [n, size, size, 3], in as many threads as there are cores."
    return np.stack(Parallel(cpu_count(), prefer="threads")(delayed(read_image)(file, size, 3) for file in files))


@torch.inference_mode()
def bare(learn, images: np.ndarray) -> np.ndarray:
    "The probabilities of the model alone."
    found = []
    for batch in torch.from_numpy(images).permute(0, 3, 1, 2).split(BATCH):
        x = batch
        for transform in learn.dls.valid.after_batch.fs:
            x = transform(x, split_idx=1)
        with autocast(precision_of(learn), x.device):
            found.append(torch.softmax(learn.model(x).float(), 1))
    return torch.cat(found).numpy()


if __name__ == "__main__":
    main()
