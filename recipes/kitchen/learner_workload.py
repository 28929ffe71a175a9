"""A workload of the user's own: a function that makes a fastai Learner, for any task."""

import atexit
import hashlib
import inspect
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import torch
from fastai.basics import Learner
from fastai.callback.progress import CSVLogger
from fastai.callback.tracker import EarlyStoppingCallback
from fastai.torch_core import set_seed

from lrlab.callbacks.random_state import seed_loaders
from lrlab.recipes.kitchen.errors import UserCodeError, UserError
from lrlab.recipes.kitchen.from_file import FromFile
from lrlab.recipes.kitchen.learner.classification import class_names
from lrlab.recipes.kitchen.learner.own_code import own_code
from lrlab.recipes.kitchen.learner.saved_model import save_model
from lrlab.recipes.kitchen.learner.shared_weights import changed_weights, share_weights
from lrlab.recipes.kitchen.learner.trial_batch import try_one_batch
from lrlab.recipes.kitchen.learner.users_code import place_of, users_code
from lrlab.recipes.kitchen.machine.torchvision_compat import prepare_torchvision
from lrlab.recipes.kitchen.stage import print_note, stage
from lrlab.recipes.kitchen.stats.measures import Measure, lower_is_better
from lrlab.recipes.kitchen.store.tables import by_column
from lrlab.recipes.kitchen.workloads import ImageWorkload, Workload, make_workload

SPLITS = ("train", "valid", "test")
CHECKED_SEED = 0


def choose_workload(
    learner: FromFile | None, *, cache: bool = True, is_scheduled: bool = True, **image_options: Any
) -> "LearnerWorkload | ImageWorkload":
    """The workload of `learner`, or that of the `image_options`, which a Learner excludes.

    Raises UserError for bad options.
    """
    if learner is None:
        return make_workload(**image_options, cache=cache)
    given = [name for name, value in image_options.items() if value is not None and value is not False]
    if given:
        raise UserError(f"`learner` brings its own data and model; leave out `{given[0]}`")
    return LearnerWorkload(learner, is_scheduled)


@dataclass(frozen=True)
class OwnData:
    "What is known of the Learner's data and model, before any training."

    name: str
    facts: dict
    identity: dict  # what the numbers depend on
    metrics: tuple[str, ...] = ()  # as their columns are called
    classes: tuple[str, ...] = ()  # their names, where every item has one class
    warnings: tuple[str, ...] = ()

    def describe(self) -> dict:
        return {"name": self.name, "title": self.name, "warnings": list(self.warnings), **self.facts}


@dataclass(frozen=True)
class LearnerWorkload(Workload):
    """What `make_learner()` makes: a fastai Learner with its own data, augmentation, loss, metrics and optimizer.

    The random seed is set before each call, and again after it together with the order of the DataLoaders. So the same
    seed gives the same weights, batches and augmentation, also where `make_learner` uses DataLoaders that were made
    once. With `num_workers` above 0, equal draws need equally many workers.
    """

    make_learner: Callable[[], Learner]
    is_scheduled: bool = True  # whether it is trained along schedules of lrlab

    def __reduce__(self):
        "The function may import torchvision where it is unpickled, which happens after the call of `_prepared`."
        return _prepared, (), {"make_learner": self.make_learner, "is_scheduled": self.is_scheduled}

    @cached_property
    def name(self) -> str:
        "The function, and the file if it has one. An identifier is what can be called to make a Learner."
        maker = self.make_learner
        known_as = "__qualname__" if inspect.ismethod(maker) else "__name__"
        name = getattr(maker, known_as, f"{type(maker).__name__}(...)")
        file = getattr(maker, "file", None)
        return f"{name} of {Path(file).name}" if file else name

    @property
    def arch(self) -> str:
        return self.name

    def load(self) -> OwnData:
        """Make the Learner, train one batch, make it again, and tell what it is.

        What is odd about it is printed. Raises UserCodeError for what the user's code raises, and UserError for a
        Learner that cannot be used.
        """
        stage("Making the Learner twice")
        trained = call(self.make_learner, CHECKED_SEED)
        sets_seed = torch.initial_seed() != CHECKED_SEED
        first = identity(prepare_for_seed(trained, CHECKED_SEED))
        n_classes = try_one_batch(trained, self.is_scheduled)
        with changed_weights(trained.model):
            second = identity(learn := self.learner(CHECKED_SEED))
        if first["weights"] != second["weights"] and share_weights(trained.model, learn.model):
            raise UserCodeError(
                f"{self.name} returns the same model in every call, so every run would continue the one before; make "
                "the model inside the function"
            )
        changed = [key for key in first if first[key] != second[key]]
        classes = class_names(learn.dls, n_classes) if n_classes else ()
        facts = {"images": dict(zip(SPLITS, map(count_items, learn.dls.loaders), strict=False))}
        if file := getattr(self.make_learner, "file", None):
            facts["source"] = file
        known = {key: value for key, value in first.items() if key not in changed}
        _, *metrics = by_column(0.0, names := learn.metrics.attrgot("name"), [0.0] * len(names))
        warnings = tuple(_warnings(learn, changed, sets_seed))
        for warning in warnings:
            print_note(self.name, warning)
        return OwnData(self.name, facts, known | _code(self.make_learner, learn), tuple(metrics), classes, warnings)

    def measure(self, data: OwnData) -> Measure:
        "The Learner's first metric, of a known direction if there is one; the loss if it has none."
        known = [name for name in data.metrics if lower_is_better(name) is not None]
        return Measure.parse([*known, *data.metrics, "loss"][0])

    def to_dict(self, data: OwnData) -> dict:
        return {"learner": self.name, **data.identity}

    def learner(self, seed: int = 0, data: OwnData | None = None) -> Learner:
        return prepare_for_seed(call(self.make_learner, seed), seed)

    def naming_errors(self, doing: str) -> AbstractContextManager:
        return users_code(f"while {doing}")


def _prepared() -> LearnerWorkload:
    "A workload without its function, where torchvision can be imported."
    prepare_torchvision()
    return object.__new__(LearnerWorkload)


def prepare_for_seed(learn: Learner, seed: int) -> Learner:
    "The Learner, whose batches and augmentation are those of the seed from now on."
    set_seed(seed)
    seed_loaders(learn.dls, seed)
    learn.model_dir = scratch_folder()  # callbacks that save the model would overwrite each other's files
    for log in csv_logs(learn):
        log.fname = scratch_folder() / log.fname.name  # and this one the file of the user's own training
    return learn


def csv_logs(learn: Learner) -> list[CSVLogger]:
    return [cb for cb in learn.cbs if isinstance(cb, CSVLogger)]


def call(make_learner: Callable[[], Learner], seed: int) -> Learner:
    "The Learner of a seed. Raises UserCodeError, with file and line, for anything that the function raises."
    try:
        function = load_function(make_learner)
        set_seed(seed)
        learn = function()
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # a file that reads the command line on import may exit
        raise UserCodeError(place_of(error)) from error
    name = getattr(make_learner, "__name__", "the function")
    if not isinstance(learn, Learner):
        raise UserCodeError(f"{name} returned {type(learn).__name__}; expected a fastai Learner")
    for loader in learn.dls.loaders:
        if not has_length(loader):
            kind = type(loader).__name__
            raise UserCodeError(
                f"the Learner of {name} has a {kind} without a length; schedules need the number of steps"
            )
    if len(learn.dls.loaders) < 2 or not len(learn.dls.valid):
        raise UserCodeError(f"the Learner of {name} has no validation data; schedules are compared on them")
    if not len(learn.dls.train):
        raise UserCodeError(f"the Learner of {name} has no training batch; choose a smaller batch size")
    return learn


def has_length(loader: Any) -> bool:
    "Whether the loader knows its number of batches. One of an iterable dataset may not."
    try:
        return len(loader) >= 0
    except (TypeError, AttributeError):
        return False


def load_function(make_learner: Callable) -> Callable:
    """The function itself. Its file is run once in a process, always with the same random numbers.

    So data that the file splits at random are split alike in every process, and no call of the function draws other
    random numbers because its file was run just before. Raises UserError for anything but a function.
    """
    set_seed(CHECKED_SEED)
    function = make_learner.function() if isinstance(make_learner, FromFile) else make_learner
    if isinstance(function, Learner) or not callable(function):
        name, kind = make_learner.name if isinstance(make_learner, FromFile) else "this", type(function).__name__
        raise UserError(f"`learner`: {name} is a {kind}; expected a function that makes a Learner, anew in every call")
    return function


def export_learner(learn: Learner, file: Path) -> str:
    """Write the Learner with fastai's `learn.export`, completely or not at all. Its data and optimizer stay.

    Returns why it cannot be pickled, or an empty text. Raises OSError where the disk is full.
    """
    dls, opt, folder = learn.dls, learn.opt, learn.model_dir
    learn.model_dir = "models"  # where fastai would save; the training used a temporary folder
    for log in csv_logs(learn):
        log.fname = Path(log.fname.name)
        vars(log).pop("file", None)  # the last fit has closed it, and it cannot be pickled
    try:
        save_model(learn, file)
    except OSError:
        raise
    except Exception as error:  # data and callbacks may raise anything when they are pickled
        return place_of(error)
    finally:
        learn.dls, learn.opt, learn.model_dir = dls, opt, folder
    return ""


def identity(learn: Learner) -> dict:
    "What the numbers of a Learner depend on, as far as it can be seen: short texts and hashes."
    loader, model = learn.dls.train, getattr(learn, "arch", None)
    pipelines = [getattr(loader, name, "") for name in ("after_item", "before_batch", "after_batch")]
    arch = model if isinstance(model, str) else getattr(model, "__name__", type(learn.model).__name__)
    seen = {
        "data": type(learn.dls).__name__,
        "arch": arch,
        "bs": getattr(loader, "bs", None) or getattr(loader, "batch_size", None),  # torch's own loaders have the second
        "batches": len(loader),
        "loss": _without_addresses(learn.loss_func),
        "optimizer": _without_addresses(learn.opt_func),
        "wd": learn.wd,
        "transforms": _hash(map(_without_addresses, [loader, *pipelines])),
        "model": _hash([str(learn.model)]),
        "weights": _hash(learn.model.state_dict().values()),
    }
    with users_code("while reading the first batch"):
        batch = next(iter(loader))
    return seen | {"first batch": _hash(_leaves(batch))}


def _leaves(value: Any) -> list:
    "The values in nested lists and dictionaries, in one list."
    parts = list(value.values()) if isinstance(value, dict) else value
    return [leaf for part in parts for leaf in _leaves(part)] if isinstance(parts, (list, tuple)) else [value]


def _hash(values: Any) -> str:
    found = hashlib.sha256()
    for value in values:
        if isinstance(value, torch.Tensor):
            array = value.detach().as_subclass(torch.Tensor).cpu().contiguous()
            found.update(array.flatten().view(torch.uint8).numpy().tobytes() if array.numel() else b"")
        else:
            found.update(str(value).encode())
    return found.hexdigest()[:12]


def _without_addresses(value: Any) -> str:
    "A text that is the same in every process."
    name = getattr(value, "__name__", None) or str(value)
    return re.sub(r" at 0x[0-9a-f]+", "", name)


def _code(make_learner: Callable, learn: Learner) -> dict[str, str]:
    "A hash of the user's own code, where there is any."
    function = make_learner.function() if isinstance(make_learner, FromFile) else make_learner
    code = own_code(function, learn)
    return {"code": _hash(code)} if code else {}


def count_items(loader: Any) -> int:
    "Items of a loader; batches where it does not know its items."
    for items_of in (lambda: int(loader.n), lambda: len(loader.dataset)):  # fastai's loaders, and torch's own
        try:
            return items_of()
        except (AttributeError, TypeError):
            continue
    return len(loader)


def _warnings(learn: Learner, changed: list[str], sets_seed: bool) -> Iterator[str]:
    if sets_seed:
        yield (
            "the function sets the random seed itself, so all runs start from the same weights, and intervals do not "
            "cover others; leave such a line out, and make DataLoaders with `seed=42` outside the function: fastai "
            "sets the seed of everything there"
        )
    if changed:
        yield (
            f"the Learner is not the same twice for the same seed: {', '.join(changed)} differ. Pairs of runs with the "
            "same seed differ by more than their schedule, so more seeds are needed"
        )
    if any(isinstance(cb, EarlyStoppingCallback) for cb in learn.cbs):
        yield "the Learner stops early: a run may end before its schedule does, and schedules end with their lowest LR"


@cache
def scratch_folder() -> Path:
    "A folder for what the Learner's callbacks save, of this process alone, deleted at its end."
    folder = Path(tempfile.mkdtemp(prefix="lrlab-models-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
