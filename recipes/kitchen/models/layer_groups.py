"""Parameter groups from the input to the head, so that `slice(low, high)` means what it says."""

from torch import nn

NAMES = ("stem", "early", "late", "head")
_DOMINANT = 0.85  # share of the parameters above which a container is the network's trunk, not one of its stages


def layer_groups(model: nn.Sequential) -> list[list[nn.Parameter]]:
    """fastai splitter for `Sequential(body, head)`: lists of parameters, from general features to special ones.

    The body's stages are found from its structure alone: ResNet's `layer1` to `layer4`, EfficientNet's `blocks`, a
    vision transformer's encoder blocks. What comes before the first stage is the stem; the stages are halved by number,
    and what comes after the last one, such as a final norm, goes with the late ones.
    """
    units, first_stage, end = _units(model[0])
    middle = first_stage + (end - first_stage + 1) // 2
    parts = [units[:first_stage], units[first_stage:middle], units[middle:], [model[1:]]]
    groups = [[p for unit in part for p in unit.parameters()] for part in parts]
    groups[0] = [p for p in model[0].parameters() if not _contains(units, p)] + groups[0]  # such as a class token
    return [group for group in groups if group]


def one_group(model: nn.Module) -> list[list[nn.Parameter]]:
    "fastai splitter for training from scratch, where no layer has anything to lose."
    return [list(model.parameters())]


def group_names(n_groups: int) -> list[str]:
    "stem, early, late, head; one group is called `all`, and any other number is numbered."
    if n_groups == 1:
        return ["all"]
    return list(NAMES) if n_groups == len(NAMES) else [f"group {i}" for i in range(n_groups)]


def _units(body: nn.Module) -> tuple[list[nn.Module], int, int]:
    "The body as a sequence of layers and stages, in order, and the positions of its first stage and after its last."
    children = [child for child in body.children() if _size(child)]
    if len(children) == 1:
        return _units(children[0])
    total = _size(body)
    containers = [c for c in children if isinstance(c, (nn.Sequential, nn.ModuleList)) and _n_layers(c) > 1]
    for position, child in enumerate(children):
        if child in containers and (len(containers) == 1 or _size(child) > _DOMINANT * total):
            stages = [stage for stage in child.children() if _size(stage)]
            units = children[:position] + stages + children[position + 1 :]
            return units, max(position, 1), position + len(stages)
    places = [i for i, child in enumerate(children) if child in containers] or [1, len(children) - 1]
    return children, max(places[0], 1), places[-1] + 1


def _size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _n_layers(module: nn.Module) -> int:
    return sum(1 for child in module.children() if _size(child))


def _contains(units: list[nn.Module], parameter: nn.Parameter) -> bool:
    return any(parameter is p for unit in units for p in unit.parameters())
