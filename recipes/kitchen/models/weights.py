"""Weights from a file: read without running code from it, matched by name and shape, or refused in one sentence."""

import hashlib
from pathlib import Path

import torch
from torch import nn

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.text import first_line, typed_path

_SUFFIXES = (".pth", ".pt", ".bin", ".safetensors")
_NESTED = ("state_dict", "model", "model_state_dict")  # under which training scripts keep the weights


def read_weights(file: Path | str) -> dict[str, torch.Tensor]:
    "Tensors by name. Raises UserError if the file is missing, damaged, or holds anything but tensors."
    file = typed_path(file)
    if file.suffix.lower() not in _SUFFIXES:
        raise UserError(f"`weights` {file}: expected a file that ends in {', '.join(_SUFFIXES)}")
    if not file.is_file():
        raise UserError(f"`weights` {file}: no such file")
    try:
        if file.suffix.lower() == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(file)
        else:
            state = torch.load(file, map_location="cpu", weights_only=True)
    except ImportError as error:
        raise UserError(f"`weights` {file}: needs the package safetensors: pip install safetensors") from error
    except Exception as error:  # both libraries raise half a dozen kinds for a damaged file
        reason = first_line(error, 160).rstrip(".")
        raise UserError(
            f"`weights` {file}: cannot be read as weights; damaged, or not only tensors ({reason})"
        ) from error
    for key in _NESTED:
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not state or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise UserError(f"`weights` {file}: holds no weights; expected tensors by name, as in model.state_dict()")
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}


def load_weights(
    model: nn.Module, state: dict[str, torch.Tensor], file: Path | str, head: tuple[str, ...] = ()
) -> None:
    """Load `state` into `model`, except the parts named in `head`, which were trained for other classes.

    Raises UserError that names the first tensor that is missing or has another shape. Further tensors are ignored.
    """
    own = {name: t for name, t in model.state_dict().items() if not name.startswith(head or "\0")}
    missing = [name for name in own if name not in state and not name.endswith("num_batches_tracked")]
    if missing:
        raise UserError(
            f"`weights` {file}: {len(missing)} of the model's {len(own)} tensors are not in it, first {missing[0]}; "
            "is `arch` the model that was saved?"
        )
    for name in own:
        if name in state and state[name].shape != own[name].shape:
            raise UserError(
                f"`weights` {file}: {name} has shape {list(state[name].shape)}, the model's has {list(own[name].shape)}"
            )
    model.load_state_dict({name: state[name] for name in own if name in state}, strict=False)


def sha256(file: Path | str) -> str:
    "The SHA-256 of a file's content, in hexadecimal."
    digest = hashlib.sha256()
    with open(typed_path(file), "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
