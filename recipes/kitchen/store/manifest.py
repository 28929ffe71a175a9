"""config.json: the question of a results folder, where it was answered, and what was decided on the way."""

import json
from dataclasses import dataclass, field, fields
from pathlib import Path

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.store.files import write_atomically

FILE = "config.json"


@dataclass
class Manifest:
    "What config.json holds. Keys that this version does not know are kept in `other` and written back."

    recipe: str = "compare"
    question: dict = field(default_factory=dict)  # everything that the numbers depend on
    data: dict = field(default_factory=dict)  # title, source, licence, images and classes

    command: str | None = None
    date: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    machine: dict = field(default_factory=dict)
    device: str | None = None
    commit: str | None = None

    groups: list[str] = field(default_factory=list)  # names of the layer groups
    steps_per_epoch: int | None = None
    lint: list[str] = field(default_factory=list)  # what is probably not meant about a schedule
    arch_library: str | None = None  # where the model comes from: lrlab, torchvision or timm
    torchvision_compat: bool | None = None  # whether torchvision was built for another torch
    auto_precision: str | None = None  # the precision that "auto" stands for on this machine
    lr_find: float | None = None  # the suggestion of the LR range tests
    lr_find_range: list[float] = field(default_factory=list)  # the lowest and the highest over seeds
    lr_find_by_seed: dict[str, float | None] = field(default_factory=dict)
    lr_find_none: str | None = None  # why the test of a seed suggests none
    lr_find_cost: dict = field(default_factory=dict)  # tests, steps, seconds
    guessing_loss: float | None = None  # of the best constant answer, where the class counts do not tell it
    initial_loss: float | None = None  # of the untrained model, on the validation data
    memory_per_run_gb: float | None = None
    engine: str | None = None
    jobs: int | None = None
    plan: list[str] | None = None  # run ids, in order
    asked: dict[str, dict] = field(default_factory=dict)  # the seeds of every command, and what followed its first look
    tuning_plan: list[str] = field(default_factory=list)
    tuned: dict = field(default_factory=dict)  # the LR grid and what was chosen from it
    lr_max: str | None = None  # the peak LR of the only run, for recipes of one run
    merged: list[str] = field(default_factory=list)  # the folders that this report merges
    other: dict = field(default_factory=dict)

    @classmethod
    def from_dict(cls, values: dict) -> "Manifest":
        known = {f.name for f in fields(cls)} - {"other"}
        own = {name: value for name, value in values.items() if name in known and value is not None}
        return cls(**own, other={name: value for name, value in values.items() if name not in known})

    def to_dict(self) -> dict:
        "JSON types. Values that are not known are omitted."
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "other"}
        return {name: value for name, value in own.items() if value not in (None, [], {})} | self.other

    @classmethod
    def read(cls, folder: Path) -> "Manifest | None":
        "The manifest of a folder, or None if there is none yet. Raises UserError if the file is damaged."
        file = folder / FILE
        if not file.exists():
            return None
        try:
            values = json.loads(file.read_text(encoding="utf-8"))
        except (ValueError, OSError, RecursionError) as error:
            raise UserError(f"{file} cannot be read ({error}); `fresh` starts over and keeps the old folder") from None
        if not isinstance(values, dict):
            raise UserError(f"{file} is not an lrlab configuration; `fresh` starts over and keeps the old folder")
        return cls.from_dict(values)

    def write(self, folder: Path) -> None:
        text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False, default=str)
        write_atomically(folder / FILE, text)
