"""What lrlab is measured against: the loop that people write with stock fastai, and the bare PyTorch loop."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from lrlab.recipes.kitchen.data.dataloaders import random_flips
from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.machine.torchvision_compat import prepare_torchvision
from lrlab.recipes.kitchen.models import create as models

LR, BS = 3e-3, 64


@dataclass(frozen=True)
class Timed:
    "Seconds of training with its validations, images trained on, and the accuracy after the last epoch."

    seconds: float
    images: int
    accuracy: float

    @property
    def images_per_second(self) -> float:
        return self.images / self.seconds


def stock_fastai(table: pd.DataFrame, folder: Path, size: int, epochs: int, seed: int) -> Timed:
    """One run as in a notebook: `ImageDataLoaders` from files, batch augmentation, `fit`, fastai's own defaults.

    `table` has the columns file, label, is_valid. The model is `small` with three input channels, because fastai's
    loaders make colour images of grey ones.
    """
    prepare_torchvision()
    import fastai.vision.all as vision

    vision.set_seed(seed)
    columns = {"fn_col": "file", "label_col": "label", "valid_col": "is_valid"}
    transforms = {"item_tfms": vision.Resize(size), "batch_tfms": vision.Dihedral(p=1.0)}
    dls = vision.ImageDataLoaders.from_df(table, folder, **columns, **transforms, bs=BS)
    model = models.create("small", dls.c, channels=3, size=size)
    learn = vision.Learner(dls, model, loss_func=vision.CrossEntropyLossFlat(), metrics=vision.accuracy)
    start = time.perf_counter()
    with learn.no_bar(), learn.no_logging():
        learn.fit(epochs, LR)
    seconds = time.perf_counter() - start
    return Timed(seconds, epochs * len(dls.train) * BS, float(learn.recorder.values[-1][2]))


def bare_loop(
    image_set: ImageSet, arch: str, epochs: int, seed: int, bf16: bool, channels_last: bool = True, fused: bool = False
) -> Timed:
    """The same model, batches, augmentation and optimizer in plain PyTorch on tensors: the limit of one process.

    `fused`: torch's fused AdamW, which one has to ask for.
    """
    torch.manual_seed(seed)
    colour = models.is_pretrained(arch)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = models.create(arch, len(image_set.classes), image_set.channels, image_set.size).to(memory_format=layout)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, betas=(0.9, 0.99), eps=1e-5, fused=fused)
    images = torch.from_numpy(np.array(image_set.images)).permute(0, 3, 1, 2)
    labels = torch.from_numpy(image_set.labels)
    train, valid = (torch.from_numpy(image_set.splits[split]) for split in ("train", "valid"))
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in image_set.pixel_stats)

    def forward(batch):
        pixels = batch.float().div_(255).sub_(mean).div_(std).contiguous(memory_format=layout)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return model(pixels.expand(-1, 3, -1, -1) if colour and image_set.channels == 1 else pixels).float()

    start, seen, right = time.perf_counter(), 0, 0
    for _ in range(epochs):
        model.train()
        for rows in train[torch.randperm(len(train))].split(BS):
            if len(rows) < BS:
                break
            nn.functional.cross_entropy(forward(random_flips(images[rows], dihedral=True)), labels[rows]).backward()
            optimizer.step()
            optimizer.zero_grad()
            seen += len(rows)
        model.eval()
        with torch.no_grad():
            right = sum((forward(images[rows]).argmax(1) == labels[rows]).sum().item() for rows in valid.split(2 * BS))
    return Timed(time.perf_counter() - start, seen, right / len(valid))


def image_table(image_set: ImageSet, files: list[str]) -> pd.DataFrame:
    "The images as the stock loop takes them: the same split, the same labels."
    valid = set(image_set.splits["valid"].tolist())
    rows = [(files[i], image_set.classes[image_set.labels[i]], i in valid) for i in range(len(files))]
    return pd.DataFrame(rows, columns=["file", "label", "is_valid"])


def resized_copies(image_set: ImageSet, folder: Path) -> list[str]:
    "The images as small PNG files, what a careful user makes once before the loop; their names."
    from PIL import Image

    names = [f"{i:06}.png" for i in range(len(image_set.labels))]
    for name, pixels in zip(names, image_set.images, strict=True):
        Image.fromarray(pixels[..., 0] if image_set.channels == 1 else pixels).save(folder / name)
    return names
