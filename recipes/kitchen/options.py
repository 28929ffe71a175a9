"""The options of the recipes, each declared once: its group in the help, its help, and how its value is read.

A recipe takes an option by its type: `def main(seeds: Seeds = 3)`. `lrlab.recipes.cli` shows the type's help and calls
its `read` on what was typed, or on what a caller in Python passed. Imports nothing heavy, so that help and bad values
are answered at once.
"""

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.from_file import FromFile
from lrlab.recipes.kitchen.image_source import ImageSource, image_source
from lrlab.recipes.kitchen.learning_rates import parse_lr, parse_one_lr, parse_one_lr_or_find, plain
from lrlab.recipes.kitchen.optimizer_names import DEFAULT as DEFAULT_OPTIMIZER
from lrlab.recipes.kitchen.optimizer_names import NAMES as OPTIMIZERS
from lrlab.recipes.kitchen.optimizer_names import parse_optimizer
from lrlab.recipes.kitchen.schedule_names import NAMES, split_schedules
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.kitchen.text import did_you_mean, shorten

GROUPS = ("Data", "Model", "Training", "Comparison", "Machine", "Output")  # of the help, in this order
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
TRACKERS = ("tensorboard", "wandb", "mlflow", "trackio")
ENGINES = ("local", "ray")
AUGMENTATIONS = ("none", "flips", "fastai")
WD_RANGE = (0.0, 100.0)


@dataclass(frozen=True)
class Option:
    """How an option is shown and read.

    `read(value, name)` returns what the recipe needs, or raises UserError with the argument's `name`. It accepts text
    and the native value alike: "0,5,7" and [0, 5, 7].
    """

    group: str  # one of GROUPS
    metavar: str  # what stands for the value in the help; empty for a flag
    help: str
    read: Callable[[Any, str], Any] = lambda value, name: value

    def __repr__(self) -> str:
        return self.help  # for Shift-Tab in a notebook


@dataclass(frozen=True)
class Options:
    """What a parameter of a recipe stands for: several options, of which `join` makes its value.

    One of them may have the parameter's own name, and then its default. Else the parameter is a keyword-only one.
    """

    by_name: dict[str, Option]
    join: Callable[..., Any] = dict


def number(low: float, high: float) -> Callable[[Any, str], Any]:
    """Make the `read` of a number in [low, high]: an int if `low` is one, else a float.

    >>> number(1, 9)("3", "epochs"), number(0.0, 9.0)("3", "noise")
    (3, 3.0)
    """
    kind = type(low)

    def read(value: Any, name: str) -> Any:
        try:
            found = kind(value) if isinstance(value, str) else plain(value)
        except ValueError:
            found = None
        if not isinstance(found, (int, kind)) or isinstance(found, bool) or not low <= found <= high:
            expected = "a whole number" if kind is int else "a number"
            raise UserError(f"`{name}` {shorten(value)}: expected {expected} from {low} to {high}")
        return kind(found)

    return read


def one_of(*words: str) -> Callable[[Any, str], str]:
    "Make the `read` of a choice between words."

    def read(value: Any, name: str) -> str:
        if value not in words:
            hint = did_you_mean(str(value), words)
            raise UserError(f"`{name}` {shorten(value)}: expected one of {', '.join(words)}{hint}")
        return value

    return read


def parse_seeds(seeds: int | str | Sequence[int], name: str = "seeds") -> list[int]:
    """How many seeds, or which. Raises UserError for none, repeated or negative ones.

    >>> parse_seeds(3), parse_seeds("0,5,7"), parse_seeds([0, 5, 7])
    ([0, 1, 2], [0, 5, 7], [0, 5, 7])
    """
    shown = f"`{name}` {shorten(seeds)}"
    seeds = plain(seeds)
    numbers = _whole_numbers(seeds)
    if numbers is None:
        raise UserError(f"{shown}: expected how many (3), or which (0,5,7)")
    is_count = "," not in seeds if isinstance(seeds, str) else not isinstance(seeds, Iterable)
    if is_count and numbers:
        return list(range(number(1, 1000)(numbers[0], name)))
    if not numbers or min(numbers) < 0 or max(numbers) >= 2**32:
        raise UserError(f"{shown}: seeds are whole numbers from 0 to 4294967295")
    if len(set(numbers)) < len(numbers):
        raise UserError(f"{shown}: the same seed twice would count one run as two")
    return numbers


def parse_epochs(epochs: int | str | Sequence[int], name: str = "epochs") -> list[int]:
    """One budget or several, ascending. Raises UserError for none, repeated or impossible ones.

    >>> parse_epochs(7), parse_epochs("12,3,6")
    ([7], [3, 6, 12])
    """
    budgets = _whole_numbers(plain(epochs))
    if budgets is None:
        raise UserError(f"`{name}` {shorten(epochs)}: expected a whole number (7), or several (3,6,12)")
    if not budgets or len(set(budgets)) < len(budgets):
        raise UserError(f"`{name}` {shorten(epochs)}: expected different whole numbers, such as 3,6,12")
    return sorted(number(1, MANY)(budget, name) for budget in budgets)


def _whole_numbers(value: Any) -> list[int] | None:
    "The numbers of a comma list, a sequence or one number; None for anything else."
    if isinstance(value, bool):
        return None
    try:
        if isinstance(value, str):
            return [int(part) for part in value.split(",") if part.strip()]
        return [operator.index(part) for part in (value if isinstance(value, Iterable) else [value])]
    except (TypeError, ValueError):
        return None


def parse_lrs(lrs: str | Sequence[float], name: str = "lrs") -> list[float]:
    """Different learning rates, from a comma list or a sequence.

    >>> parse_lrs("3e-4,1e-3")
    [0.0003, 0.001]
    """
    grid = [parse_one_lr(lr, name) for lr in _parts(lrs)]
    if len(set(grid)) < len(grid):
        raise UserError(f"`{name}` {shorten(lrs)}: expected different numbers such as 3e-4,1e-3")
    return grid


def _parts(value: Any) -> list:
    value = plain(value)
    return value.split(",") if isinstance(value, str) else list(value) if isinstance(value, Iterable) else [value]


def comma_list(value: str | Iterable, name: str) -> str:
    "Text as it is, a sequence as a comma list."
    return ",".join(map(str, _parts(value)))


def parse_jobs(jobs: int | str | None, name: str = "jobs") -> int | None:
    "How many runs to train at the same time. None for `auto`: as many as the cores and the memory allow."
    if jobs is None or str(jobs).strip().lower() == "auto":
        return None
    try:
        number_of_runs = int(jobs) if isinstance(jobs, str) else operator.index(jobs)
    except (TypeError, ValueError):
        raise UserError(f"`{name}` {shorten(jobs)}: expected auto or a whole number from 1 to 256") from None
    return number(1, 256)(number_of_runs, name)


def parse_judge(value: Any, name: str = "judge") -> Measure:
    "What judges the runs. Whether a run has it is known later, when the data are."
    return value if isinstance(value, Measure) else Measure.parse(value, name)


def parse_tolerance(value: Any, name: str = "tolerance") -> float:
    """A difference that does not matter: a fraction, or text with a percent sign.

    >>> parse_tolerance("0.5%"), parse_tolerance("0.02")
    (0.005, 0.02)
    """
    text = str(plain(value)).strip()
    try:
        tolerance = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        tolerance = math.nan
    if not 0 < tolerance < math.inf:
        raise UserError(f"`{name}` {shorten(value)}: expected a positive number such as 0.01, or 1%")
    return tolerance


def parse_minutes(value: Any, name: str = "minutes") -> float:
    "A positive number of minutes."
    return number(0.1, 100_000.0)(value, name)


def as_text(value: Any, name: str) -> str:
    return str(value)


def as_data(value: Any, name: str) -> Any:
    return value if isinstance(value, ImageSource) else str(value)


def pretrained_name(value: Any, name: str) -> str:
    "Any architecture but small, which has no pretrained weights."
    if str(value) == "small":
        raise UserError(f"`{name}` small has no pretrained weights; choose efficientnet_lite0 or a torchvision name")
    return str(value)


MOST_SEEDS = 50  # in the time of `minutes`
MANY = 10_000  # epochs: more than anybody wants
LAST_SEED = 2**32 - 1
FIRST_SIZE = 48  # pixels of the solar cells, so that the first comparison of a new user takes minutes

# The help of options, where it is too long to stand beside them.
DATA_HELP = "solar, digits, fashion_mnist, a fastai dataset, or a folder of images; cifar:1000 takes 1,000 of them"
LABELS_HELP = "Table of files and labels: labels.csv, or labels.csv:file,label"
ARCH_HELP = "small (from scratch), or a pretrained model: efficientnet_lite0, or one of torchvision or timm"
DEFAULT_ARCH_HELP = f"{ARCH_HELP} [default: small; for your own colour photos efficientnet_lite0]"
WEIGHTS_HELP = "Pretrained weights: a .pth or .safetensors file [default: ImageNet's]"
AUG_HELP = "none, flips, or fastai (its aug_transforms) [default: the flips that are known to keep the label]"
OPT_HELP = f"{', '.join(OPTIMIZERS)}, or MODULE:NAME [default: {DEFAULT_OPTIMIZER}]"
FREEZE_HELP = "Epochs of a pretrained model's new head alone, before all layers [default: 1]"
LR_HELP = "Peak learning rate: a number, slice(first layers, head), or find"
BS_HELP = "Batch size [default: 64, or less for at least 8 steps an epoch]"
SEEDS_HELP = "How many seeds, or which ones: 0,5,7"
SCHEDULES_HELP = f"Schedules by name ({', '.join(NAMES)}), or as calls such as OneCycle(pct_start=0.3)"
JUDGE_HELP = "What judges a run: accuracy, loss, brier, or a metric; -NAME if lower is better"
TOLERANCE_HELP = "Difference that does not matter: 0.01 or 1% [default: 1 point of accuracy, 2 % of a loss]"
MINUTES_HELP = "Three seeds first; then more for open schedules while time lasts"
UNTIL_DECIDED_HELP = "Three seeds first; then more, up to --seeds, for open schedules only"
LEARNER_HELP = "Makes your own fastai Learner, such as train.py:make_learner"
ADDRESS_HELP = "Ray cluster to join: auto or an address [default: start one here]"
LOG_HELP = f"Log the finished runs to {', '.join(TRACKERS[:-1])} or {TRACKERS[-1]}"

SOURCE = {
    "data": Option("Data", "NAME|FOLDER", DATA_HELP, as_data),
    "labels": Option("Data", "FILE", LABELS_HELP, as_text),
    "label_re": Option("Data", "PATTERN", "The label in the file names, as a group: ^(.+)_\\d+", as_text),
    "train": Option("Data", "FOLDER", "Images to train on, one folder per class; with --valid", as_text),
    "valid": Option("Data", "FOLDER", "Images to validate on", as_text),
    "test": Option("Data", "FOLDER", "Images to test on", as_text),
}
TRAINING = {
    "aug": Option("Training", "NAME", AUG_HELP, one_of(*AUGMENTATIONS)),
    "wd": Option("Training", "X", "Weight decay [default: the optimizer's own; adam: 0.01]", number(*WD_RANGE)),
    "opt": Option("Training", "NAME", OPT_HELP, parse_optimizer),
}
START = {
    "scratch": Option("Model", "", "Start from random weights, not from pretrained ones"),
    "freeze_epochs": Option("Training", "N", FREEZE_HELP, number(0, MANY)),
}
PIXELS = number(8, 2048)

Data = Annotated[Any, Options(SOURCE, image_source)]
Size = Annotated[Any, Option("Data", "PIXELS", "Image side length in pixels [default: as the dataset]", PIXELS)]
FixedSize = Annotated[Any, Option("Data", "PIXELS", "Image side length in pixels", PIXELS)]
NoCache = Annotated[bool, Option("Data", "", "Do not cache decoded images on disk")]
Learner = Annotated[Any, Option("Data", "FILE:FUNCTION", LEARNER_HELP, FromFile.parse)]

Arch = Annotated[Any, Option("Model", "NAME", ARCH_HELP, as_text)]
DefaultArch = Annotated[Any, Option("Model", "NAME", DEFAULT_ARCH_HELP, as_text)]
PretrainedArch = Annotated[
    Any, Option("Model", "NAME", "efficientnet_lite0, or a torchvision or timm model", pretrained_name)
]
Weights = Annotated[Any, Option("Model", "FILE", WEIGHTS_HELP, as_text)]

Aug = Annotated[Any, TRAINING["aug"]]
Knobs = Annotated[Any, Options(START | TRAINING)]  # for `choose_workload` and `make_workload`
TrainingKnobs = Annotated[Any, Options(TRAINING)]  # of a recipe that itself says what a model starts from
Epochs = Annotated[Any, Option("Training", "N", "Epochs of every run", number(1, MANY))]
Budgets = Annotated[
    Any, Option("Training", "N[,N...]", "Epochs of every run, or several budgets to compare: 3,6,12", parse_epochs)
]
LrMax = Annotated[Any, Option("Training", "LR", LR_HELP, parse_lr)]
OneLrOrFind = Annotated[
    Any, Option("Training", "LR", "Peak learning rate of all runs: a number, or find", parse_one_lr_or_find)
]
BatchSize = Annotated[Any, Option("Training", "N", BS_HELP, number(2, 65536))]
Seed = Annotated[
    Any, Option("Training", "N", "Seed of the initial weights, batch order and augmentation", number(0, LAST_SEED))
]

Seeds = Annotated[Any, Option("Comparison", "N|N,N...", SEEDS_HELP, parse_seeds)]
Schedules = Annotated[Any, Option("Comparison", "NAMES", SCHEDULES_HELP, split_schedules)]
Judge = Annotated[Any, Option("Comparison", "MEASURE", JUDGE_HELP, parse_judge)]
Tolerance = Annotated[Any, Option("Comparison", "X", TOLERANCE_HELP, parse_tolerance)]
Minutes = Annotated[Any, Option("Comparison", "N", MINUTES_HELP, parse_minutes)]
UntilDecided = Annotated[bool, Option("Comparison", "", UNTIL_DECIDED_HELP)]

Precision = Annotated[
    Any, Option("Machine", "NAME", "fp32, bf16, fp16 (GPU), or auto: bf16 where it is faster", one_of(*PRECISIONS))
]
Jobs = Annotated[Any, Option("Machine", "N", "Runs at the same time; auto: as cores and memory allow", parse_jobs)]
Threads = Annotated[Any, Option("Machine", "N", "CPU threads per run", number(1, 256))]
AllThreads = Annotated[Any, Option("Machine", "N", "CPU threads [default: every core]", number(1, 256))]
Engine = Annotated[Any, Option("Machine", "NAME", "Train on local (this machine) or ray (a cluster)", one_of(*ENGINES))]
Address = Annotated[Any, Option("Machine", "HOST:PORT", ADDRESS_HELP)]

Log = Annotated[Any, Option("Output", "NAME", LOG_HELP, one_of(*TRACKERS))]
Out = Annotated[Any, Option("Output", "FOLDER", "Results folder; the same command again resumes there")]
Fresh = Annotated[bool, Option("Output", "", "Start over; existing results are moved to a dated folder")]
Quick = Annotated[bool, Option("Output", "", "A short trial run")]


def first_size(data: Any, arch: str, size: int | None) -> int | None:
    "The `size` asked for in pixels; FIRST_SIZE for the command that a new user types, without any option."
    return FIRST_SIZE if (data, arch, size) == ("solar", "small", None) else size
