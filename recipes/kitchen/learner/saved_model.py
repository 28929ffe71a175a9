"""Exported Learners: write one completely or not at all, load one, and predict files with it, batch by batch."""

import errno
import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from fastai.learner import Learner, load_learner
from joblib import cpu_count
from torch import nn

from lrlab.recipes.kitchen.data.dataloaders import RowToImage, train_device
from lrlab.recipes.kitchen.data.decode import MOST_THREADS, UnreadableImage, read_image
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.learner.precision import autocast, precision_of
from lrlab.recipes.kitchen.machine.torchvision_compat import prepare_torchvision
from lrlab.recipes.kitchen.store.files import replacing
from lrlab.recipes.kitchen.text import first_line, typed_path

BATCH = 64


def save_model(learn: Learner, file: Path) -> None:
    "`learn.export`, written completely or not at all. Raises OSError where the disk is full."
    try:
        with replacing(file) as part, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # fastai's, about pickle
            learn.export(part.resolve())
    except RuntimeError as error:
        if "iostream error" not in str(error.__context__):  # torch does not tell what the system said
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file)) from error


def load_model(file: Path | str) -> Learner:
    """The Learner that `learn.export` wrote, on the GPU if there is one, ready to predict.

    An exported Learner is a pickle, which can run any code: load only files that you trust. Raises UserError for a file
    that is missing or no exported Learner.
    """
    prepare_torchvision()
    file = typed_path(file)
    if not file.is_file():
        raise UserError(f"model {file}: {'a folder; expected a file' if file.is_dir() else 'no such file'}")
    device = train_device()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            learn = load_learner(file, cpu=device.type == "cpu")
    except Exception as error:  # what is no exported Learner may raise anything while it is read
        reason = first_line(error, 160)
        raise UserError(f"model {file}: cannot be loaded as a Learner that learn.export wrote ({reason})") from error
    learn.model.to(device).eval()
    return learn


def divide_scores(model: nn.Sequential, temperature: float) -> None:
    """Divide the model's outputs by a temperature (Guo et al. 2017, arXiv:1706.04599), within its last layer.

    So whoever loads the model gets calibrated probabilities. Raises ValueError if it does not end in a linear layer.
    """
    last = [module for module in model.modules() if not list(module.children())][-1]
    if not isinstance(last, nn.Linear):
        raise ValueError(f"the model ends in {type(last).__name__}; expected a linear layer")
    with torch.no_grad():
        for values in last.parameters():
            values /= temperature


def predict_files(
    learn: Learner, files: Sequence[Path], bs: int = BATCH
) -> Iterator[tuple[Path, np.ndarray | None, str | None]]:
    """For every file the probabilities [classes] of `learn.dls.vocab`; or None and why it cannot be read.

    A batch of files is read while the model computes the one before. Raises UserError for a Learner that lrlab did not
    make.
    """
    return _predictions(learn, files, bs, *_image_shape(learn))


def _predictions(
    learn: Learner, files: Sequence[Path], bs: int, size: int, channels: int
) -> Iterator[tuple[Path, np.ndarray | None, str | None]]:
    "`predict_files` for images of this size."
    batches = [files[start : start + bs] for start in range(0, len(files), bs)]
    with ThreadPoolExecutor(min(cpu_count(), MOST_THREADS)) as threads:

        def read(batch: Sequence[Path]) -> list[Future]:
            return [threads.submit(_read, file, size, channels) for file in batch]

        following = read(batches[0]) if batches else []
        for number, batch in enumerate(batches, start=1):
            found = [future.result() for future in following]
            following = read(batches[number]) if number < len(batches) else []
            images = [image for image in found if not isinstance(image, str)]
            rows = iter(_probabilities(learn, np.stack(images)) if images else ())
            for file, image in zip(batch, found, strict=True):
                yield (file, None, image) if isinstance(image, str) else (file, next(rows), None)


def _image_shape(learn: Learner) -> tuple[int, int]:
    "Size and channels of the images that an exported Learner of lrlab reads."
    for pipeline in getattr(learn.dls, "tfms", ()):
        for transform in pipeline.fs:
            if isinstance(transform, RowToImage):
                return transform.size, transform.channels
    raise UserError("the model was not made by lrlab; use learn.dls.test_dl(files) and learn.get_preds of fastai")


def _read(file: Path, size: int, channels: int) -> np.ndarray | str:
    "The image as uint8 [size, size, channels], or why it cannot be read."
    try:
        return read_image(file, size, channels)
    except UnreadableImage as error:
        return str(error)


@torch.inference_mode()
def _probabilities(learn: Learner, images: np.ndarray) -> np.ndarray:
    "[n, classes] of uint8 images [n, size, size, channels], as validation images are treated."
    device = next(learn.model.parameters()).device
    x = torch.from_numpy(images).to(device).permute(0, 3, 1, 2)
    for transform in learn.dls.valid.after_batch.fs:
        x = transform(x, split_idx=1)
    with autocast(precision_of(learn), device):
        scores = learn.model(x.as_subclass(torch.Tensor))
    return torch.softmax(scores.float(), 1).cpu().numpy()
