"""A workload is data and a model. It makes a fastai Learner, always the same for the same seed.

`ImageWorkload` is made of names and numbers. `LearnerWorkload` (learner_workload.py) calls a function of the user's.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from fastai.torch_core import set_seed
from fastcore.basics import noop
from joblib import cpu_count

from lrlab.recipes.kitchen.data.catalog import load, split_count
from lrlab.recipes.kitchen.data.dataloaders import default_batch_size, make_dataloaders
from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.image_source import OPTIONS, ImageSource, image_source
from lrlab.recipes.kitchen.learner.no_validation import NoValidation
from lrlab.recipes.kitchen.learner.optimizers import check_optimizer, opt_func
from lrlab.recipes.kitchen.learner.precision import check_precision, resolve_precision
from lrlab.recipes.kitchen.learner.quick_learner import PlainCrossEntropy, QuickLearner
from lrlab.recipes.kitchen.learning_rates import DISCRIMINATIVE, LearningRate
from lrlab.recipes.kitchen.machine.torchvision_compat import prepare_torchvision
from lrlab.recipes.kitchen.models.create import check_name, create, is_pretrained, library_of
from lrlab.recipes.kitchen.models.layer_groups import layer_groups, one_group
from lrlab.recipes.kitchen.models.weights import read_weights, sha256
from lrlab.recipes.kitchen.optimizer_names import DEFAULT as DEFAULT_OPTIMIZER
from lrlab.recipes.kitchen.optimizer_names import OWN_LR, parse_optimizer
from lrlab.recipes.kitchen.options import AUGMENTATIONS, LAST_SEED, MANY, WD_RANGE, number, one_of
from lrlab.recipes.kitchen.stage import stage
from lrlab.recipes.kitchen.stats.measures import Measure


class Workload(ABC):
    """What is trained: everything but the schedule, the learning rate and the seed. A frozen dataclass.

    Its `data` is an ImageSet, or what is known of the data of a Learner of the user's own. It has a `name` and a method
    `describe`, and is passed to the processes that train.
    """

    @property
    @abstractmethod
    def arch(self) -> str:
        "The name of the model."

    @property
    def pretrained(self) -> bool:
        "Whether the recipes treat it as a pretrained model: the head first, and LRs that differ over the layers."
        return False

    @abstractmethod
    def load(self) -> Any:
        "The data. Raises UserError for what cannot be used."

    def resolve(self, data: Any) -> "Workload":
        "Replace defaults that depend on the data or on the machine, because the results depend on them."
        return self

    @abstractmethod
    def learner(self, seed: int = 0, data: Any = None) -> Any:
        "A new Learner, the same for the same seed. `data` is what `load` returned, for a caller that has it."

    @abstractmethod
    def measure(self, data: Any) -> Measure:
        "What judges its runs, unless the user says otherwise."

    @abstractmethod
    def to_dict(self, data: Any) -> dict:
        "Everything about the data and the model that the numbers depend on; JSON types."

    def facts(self, data: Any) -> dict:
        "Further fields of the manifest."
        return {}

    def hints(self, data: Any) -> list[str]:
        "What the user may want to set, because nobody else can know it."
        return []

    def spread(self, lr: float) -> LearningRate:
        "An LR that was found, spread over the layers if the model is pretrained."
        return LearningRate(lr)

    def warm_up_head(self, learn: Any) -> None:
        "What a run trains before its schedule starts."
        return

    def naming_errors(self, doing: str) -> AbstractContextManager:
        "A block in which errors of the user's own code, if there is any, become UserCodeErrors that name their place."
        return nullcontext()


@dataclass(frozen=True)
class ImageWorkload(Workload):
    "Images by the name of a data set or folder, and a model by its name."

    data: str | ImageSource = "solar"
    arch: str = "small"
    size: int | None = None
    bs: int | None = None  # default: 64, or less so that an epoch has at least 8 steps
    precision: str = "auto"
    cache: bool = True
    head_epochs: int = 1  # of training only the new head of a pretrained model, before the schedule starts
    head_lr: float = 3e-3
    weights: str | None = None  # a file of pretrained weights; default: ImageNet's
    weights_sha256: str | None = None  # of that file, so that another file is another question
    scratch: bool = False  # start a model that could be pretrained from random weights
    folds: int | None = None  # of a cross-validation; default: a random split for every seed
    aug: str | None = None  # one of AUGMENTATIONS; None: the flips that are known to keep the label
    wd: float | None = None  # weight decay; None: the optimizer's own default
    opt: str = DEFAULT_OPTIMIZER  # a name of fastai's, or an import path

    @property
    def pretrained(self) -> bool:
        return is_pretrained(self.arch) and not self.scratch

    def load(self) -> ImageSet:
        stage("Reading images")
        default = 96 if split_count(str(self.data))[0] == "solar" and is_pretrained(self.arch) else None
        images = load(self.data, self.size or default, self.cache)
        if self.folds and images.has_own_split:
            raise UserError(f"`folds` {self.folds}: {images.name} comes with a split of its own, which is kept")
        if self.folds and self.folds > len(images.splits["train"]):
            raise UserError(f"`folds` {self.folds}: there are only {len(images.labels)} images")
        return images.split_by(0, self.folds) if self.folds else images

    def resolve(self, images: ImageSet) -> "ImageWorkload":
        bs = self.bs or default_batch_size(len(images.splits["train"]))
        return replace(self, bs=bs, precision=self._resolve_precision(self.precision, images))

    def _resolve_precision(self, precision: str, images: ImageSet) -> str:
        n_channels, size = images.channels, images.size
        return resolve_precision(precision, lambda: create(self.arch, 2, n_channels, size, pretrained=False))

    def batch_size(self, images: ImageSet) -> int:
        "Images in a training batch. Fewer images than that are one batch."
        n_train = len(images.splits["train"])
        return min(self.bs or default_batch_size(n_train), n_train)

    def measure(self, images: ImageSet) -> Measure:
        return Measure()

    def to_dict(self, images: ImageSet) -> dict:
        fields = asdict(replace(self.resolve(images), data=str(self.data)))
        fields |= self.data.given() if isinstance(self.data, ImageSource) else {}
        del fields["cache"]  # where the pixels are stored changes nothing
        if self.folds is None:
            del fields["folds"]
        if images.flips is None and self.aug is None:
            fields["aug"] = "none"  # until lrlab 1.0, images of unknown kind were flipped
        if self.opt == DEFAULT_OPTIMIZER:
            del fields["opt"]
        split = {} if images.has_own_split else {"split": "by seed"}
        return fields | {"size": images.size, "pixels": images.card.fingerprint} | split

    def facts(self, images: ImageSet) -> dict:
        precision = self._resolve_precision("auto", images)
        return {
            "arch_library": library_of(self.arch),
            "torchvision_compat": prepare_torchvision(),
            "auto_precision": precision,
        }

    def hints(self, images: ImageSet) -> list[str]:
        if images.flips is not None or self.aug is not None:
            return []
        return [
            f"{images.name} is trained without augmentation, because nobody but you knows whether flipped images keep "
            "their labels. Recipes with the option --aug add it: --aug flips, or --aug fastai."
        ]

    def learner(self, seed: int = 0, images: ImageSet | None = None):
        """A new Learner. The same seed gives the same initial weights, batch order, augmentation, and split.

        The split is the data's own where they have one.
        """
        from fastai.metrics import accuracy

        images = self.load() if images is None else images
        resolved, images = self.resolve(images), images.split_by(seed, self.folds)
        set_seed(seed)  # before the DataLoaders, whose batch order comes from Python's random
        colour = is_pretrained(self.arch)
        dls = make_dataloaders(images, resolved.bs, colour=colour, pretrained=self.pretrained, aug=self.aug)
        model = create(self.arch, len(images.classes), images.channels, images.size, self.pretrained, self.weights)
        learn = QuickLearner(
            dls,
            model.to(memory_format=torch.channels_last),
            loss_func=PlainCrossEntropy(),
            opt_func=opt_func(self.opt),
            wd=self.wd,
            metrics=accuracy,
            splitter=layer_groups if self.pretrained else one_group,
            precision=resolved.precision,
        )
        set_seed(seed)  # again, because the number of random draws for the initial weights depends on the model
        return learn

    def spread(self, lr: float) -> LearningRate:
        "An LR for the head, spread over the layers of a pretrained model as fastai's `fine_tune` does."
        is_spread = self.pretrained and self.opt not in OWN_LR
        return LearningRate(lr, lr / DISCRIMINATIVE, is_slice=True) if is_spread else LearningRate(lr)

    def warm_up_head(self, learn) -> None:
        "Train the random head of a pretrained model with the body frozen, so that its first gradients harm no layer."
        if self.pretrained and self.head_epochs:
            learn.freeze()
            learn.fit_one_cycle(self.head_epochs, self.head_lr, cbs=[NoValidation()] if learn.logger is noop else [])
            learn.unfreeze()


def build(
    data: str = "solar",  # "solar", "digits", a fastai dataset or a folder of images; "cifar:1000" is a part of one
    arch: str = "small",  # "small", "efficientnet_lite0", or a torchvision or timm name
    size: int | None = None,  # Image side length in pixels; default: the dataset's own
    bs: int | None = None,  # Batch size; default: 64, or less so that an epoch has at least 8 steps
    seed: int = 0,  # Initial weights, batch order and augmentation
    precision: str = "auto",  # "fp32", "bf16", "fp16" (GPU), or "auto": see `resolve_precision`
    cache: bool = True,  # Keep the decoded images on disk
    weights: str | None = None,  # A .pth or .safetensors file of pretrained weights; default: ImageNet's
    scratch: bool = False,  # Start from random weights
    aug: str | None = None,  # "none", "flips" or "fastai"; default: the flips that are known to keep the label
    wd: float | None = None,  # Weight decay; default: the optimizer's own
    opt: str = DEFAULT_OPTIMIZER,  # A name of fastai's such as "lamb", or an import path such as "torch.optim:NAdam"
    folds: int | None = None,  # Cross-validation: the split is fold `seed` of so many; default: a random split
    **labelled: str,  # Where labels and splits are, as on the command line: labels, label_re, train, valid, test
):
    "Make a fastai Learner. Everything of fastai works with it: `show_batch`, `lr_find`, `fit_one_cycle`, `export`."
    prepare_torchvision()
    import fastai.vision.all  # noqa: F401  (registers show_results and plot_top_losses of images)

    seed = number(0, LAST_SEED)(seed, "seed")
    unknown = next((name for name in labelled if name not in OPTIONS), None)
    if unknown:
        raise TypeError(f"build() got an unexpected keyword argument {unknown!r}")
    source = image_source(None if "train" in labelled and data == "solar" else data, **labelled)
    folds = None if folds is None else number(3, 100)(folds, "folds")
    knobs: dict[str, Any] = {"scratch": scratch, "aug": aug, "wd": wd, "opt": opt}
    return make_workload(source, arch, size, bs, precision, weights, cache, folds, **knobs).learner(seed)


def make_workload(
    data: str | ImageSource,
    arch: str,
    size: int | None,
    bs: int | None,
    precision: str,
    weights: str | None = None,
    cache: bool = True,
    folds: int | None = None,
    scratch: bool = False,
    aug: str | None = None,
    wd: float | None = None,
    opt: str | None = None,
    freeze_epochs: int | None = None,
) -> ImageWorkload:
    "An ImageWorkload. Raises UserError for an impossible number, an unknown name or a bad file of weights."
    data = data if isinstance(data, ImageSource) else str(data)
    bs = None if bs is None else number(2, 65536)(bs, "bs")  # batch norm needs two images
    size = None if size is None else number(8, 2048)(size, "size")
    check_precision(precision)
    arch = str(arch)
    check_name(arch)
    trained = _training(aug, wd, opt) | _start(arch, weights, scratch, freeze_epochs)
    return ImageWorkload(data, arch, size, bs, precision, cache, folds=folds, **trained)


def _training(aug: str | None, wd: float | None, opt: str | None) -> dict[str, Any]:
    "The fields of an ImageWorkload that say how it is trained."
    if aug is not None:
        one_of(*AUGMENTATIONS)(aug, "aug")
    if wd is not None:
        wd = number(*WD_RANGE)(wd, "wd")
    opt = parse_optimizer(DEFAULT_OPTIMIZER if opt is None else opt)
    check_optimizer(opt, wd)
    return {"aug": aug, "wd": wd, "opt": opt} | ({"head_lr": OWN_LR[opt]} if opt in OWN_LR else {})


def _start(arch: str, weights: str | None, scratch: bool, freeze_epochs: int | None) -> dict[str, Any]:
    "The fields of an ImageWorkload that say what the model starts from."
    if scratch and weights is not None:
        raise UserError("`scratch` takes no `weights`; leave out one of them")
    if weights is not None and not is_pretrained(arch):
        raise UserError("`arch` small takes no `weights`; choose efficientnet_lite0, or a torchvision or timm name")
    fields: dict[str, Any] = {"scratch": scratch and is_pretrained(arch)}
    if freeze_epochs is not None:
        if scratch or not is_pretrained(arch):
            raise UserError(f"`freeze_epochs` {freeze_epochs}: a model from scratch has no trained layers to freeze")
        fields["head_epochs"] = number(0, MANY)(freeze_epochs, "freeze_epochs")
    if weights is not None:
        read_weights(weights)  # raises before the data are loaded
        fields |= {"weights": str(weights), "weights_sha256": sha256(weights)}
    return fields


def use_threads(threads: int | None = None) -> None:
    "Let torch compute in `threads` threads, by default one per core that this process may use."
    torch.set_num_threads(threads or cpu_count())


@contextmanager
def using_threads(threads: int | None = None) -> Iterator[None]:
    "Let torch compute in `threads` threads within the block, by default one per core that this process may use."
    before = torch.get_num_threads()
    use_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
