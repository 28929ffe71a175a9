"""What can go wrong while a recipe runs, as fault_matrix.py makes it happen, and the recipes small enough for that."""

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

TRAINING = ["--bs", "8", "--size", "12", "--precision", "fp32"]
PRETRAINED = ["--bs", "8", "--size", "32", "--precision", "fp32", "--seeds", "1", "--jobs", "1"]
# The step of a fault: three recipes begin with an LR range test, and one has runs of four steps.
FIRST_STEP = {"compare": 105, "one-cycle": 105, "transfer": 110, "transfer-vs-scratch": 2}
RECIPES = {  # small enough for seconds
    "compare": [*TRAINING, "--epochs", "2", "--seeds", "2", "--schedules", "constant,one_cycle", "--lr-max", "3e-3",
                "--jobs", "1"],
    "lr-find": [*TRAINING, "--seeds", "1", "--num-it", "30"],
    "one-cycle": [*TRAINING, "--arch", "small", "--epochs", "2", "--lr-max", "3e-3"],
    "learning-rate": [*TRAINING, "--epochs", "2", "--long", "3", "--seeds", "1", "--jobs", "1", "--lr", "3e-3"],
    "transfer": [*PRETRAINED, "--epochs", "1", "--lr", "slice(3e-6,3e-3)"],
    "transfer-vs-scratch": [*PRETRAINED, "--epochs", "1", "--lrs", "3e-3"],
    "snapshot-ensemble": [*TRAINING, "--epochs", "3", "--cycles", "3", "--seeds", "1", "--jobs", "1",
                          "--lr-max", "3e-3"],
    "gradient-descent": ["--starts", "5", "--epochs", "1", "--schedules", "constant"],
    "speed": ["--quick", "--jobs", "1"],
    "doctor": [],
}  # fmt: skip
TRAINED = [name for name in RECIPES if name not in ("gradient-descent", "speed", "doctor")]
LR_OPTION = {"learning-rate": "--lr", "transfer": "--lr", "transfer-vs-scratch": "--lrs"}  # elsewhere --lr-max


# ---- faults of the data and the machine: what is done to the case before the recipe starts


def unreadable(count: int) -> Callable:
    def make(case):
        for i in range(count):
            (case.image_set / "left" / f"bad{i}.jpg").write_bytes(b"not an image")

    return make


def duplicates(case):
    for file in list((case.image_set / "left").glob("*.png")):
        shutil.copy(file, file.with_name(f"copy_{file.name}"))


def imbalance(case):
    for file in sorted((case.image_set / "left").glob("*.png"))[2:]:
        file.unlink()


def out_is_a_file(case):
    case.out.touch()


def read_only_cache(case):
    case.environment["LRLAB_CACHE"] = "/proc/cache"


def no_home(case):
    "A user without a name, a home or a writable working directory, as in many containers."
    case.user = 54321
    for name in ("HOME", "XDG_CACHE_HOME", "LRLAB_CACHE", "USER", "LOGNAME"):
        case.environment.pop(name, None)


def divergence(case):
    option = LR_OPTION.get(case.recipe, "--lr-max")
    case.options[case.options.index(option) + 1] = "slice(1e7,1e8)" if case.recipe == "transfer" else "1e8"
    case.options += ["--high", "1e9"] if case.recipe == "learning-rate" else []


# ---- faults within the process: put into it before the recipe is called


def _every_step(action: Callable[[int, object], None]) -> None:
    from fastai.optimizer import Optimizer

    step, count = Optimizer.step, iter(range(10**9))

    def faulty(self, *args, **kwargs):
        result = step(self, *args, **kwargs)
        action(next(count), self)
        return result

    Optimizer.step = faulty


def nan_weights(image_set: Path, first: int) -> None:
    "From step `first` on the weights of a layer are no numbers."
    import torch

    def spoil(number, optimizer):
        if number >= first:
            with torch.no_grad():
                next(iter(optimizer.all_params()))[0].fill_(float("nan"))

    _every_step(spoil)


def out_of_memory(most: int) -> Callable:
    def fault(image_set: Path, first: int) -> None:
        "Training on more than `most` images asks for more memory than there is. Without gradients it takes little."
        import torch

        forward = torch.nn.Conv2d.forward

        def greedy(self, x):
            if self.training and torch.is_grad_enabled() and len(x) > most:
                torch.empty(2**60)
            return forward(self, x)

        torch.nn.Conv2d.forward = greedy

    return fault


def vanishing_data(image_set: Path, first: int) -> None:
    "The folder of images is gone after the first step."
    _every_step(lambda number, optimizer: shutil.rmtree(image_set, ignore_errors=True))


def full_disk(image_set: Path, first: int) -> None:
    "From step `first` on no file can grow beyond 9 kB: tables fit, the figure does not."
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limit = (9000, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    _every_step(lambda number, optimizer: number == first and resource.setrlimit(resource.RLIMIT_FSIZE, limit))


def ctrl_c(image_set: Path, first: int) -> None:
    "Ctrl-C at step `first`; a shell lets what it starts in the background ignore it."
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _every_step(lambda number, optimizer: number == first and os.kill(os.getpid(), signal.SIGINT))


def jumping_clock(image_set: Path, first: int) -> None:
    "Every reading of the wall clock is an hour before the one before."
    now, readings = time.time(), iter(range(10**9))
    time.time = lambda: now - 3600 * next(readings)


DIVERGES = "a loss that is not finite (LR 1e8)"
FAULTS = {
    "none": None,
    "no such data": lambda case: shutil.rmtree(case.image_set),
    "2 % of the images unreadable": unreadable(1),
    "10 % of the images unreadable": unreadable(6),
    "copies of training images in the validation set": duplicates,
    "one class ten times rarer": imbalance,
    "--out is a file": out_is_a_file,
    "the cache cannot be written": read_only_cache,
    "a user without name and home": no_home,
    DIVERGES: divergence,
}
INNER_FAULTS = {
    "a weight turns NaN": nan_weights,
    "out of memory above 4 images": out_of_memory(4),
    "out of memory always": out_of_memory(0),
    "the data vanish during the run": vanishing_data,
    "no room for the figure": full_disk,
    "Ctrl-C": ctrl_c,
    "a clock that runs backwards": jumping_clock,
}
MACHINE = ("none", "--out is a file", "the cache cannot be written", "a user without name and home")
NOT_TRAINED = {  # what can meet the recipes that train nothing, or not on the user's images
    "gradient-descent": [*MACHINE, "a clock that runs backwards"],
    "speed": MACHINE[1:3],
    "doctor": MACHINE[:3],  # it reads what another user may not be allowed to
}


def meets(fault: str, recipe: str) -> bool:
    if recipe in NOT_TRAINED:
        return fault in NOT_TRAINED[recipe]
    return (fault, recipe) != (DIVERGES, "lr-find")  # it has no LR to set
