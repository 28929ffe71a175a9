"""Parameter groups from the input to the head, so that `slice(low, high)` means what it says."""

from torch import nn

NAMES = ("stem", "early", "late", "head")
_DOMINANT = 0.85  # A container with a larger share of the parameters is the whole trunk, not one of its stages.


def layer_groups(model: nn.Sequential) -> list[list[nn.Parameter]]:
    """fastai splitter for `Sequential(body, head)`: lists of parameters, from general features to special ones.

    The stages of the body are found from its structure: ResNet's `layer1` to `layer4`, EfficientNet's `blocks`, the
    encoder blocks of a vision transformer. Layers before the first stage are the stem. The first half of the stages is
    early, the second half is late, together with layers after the last stage, such as a final norm.
    """
    units, first_stage, end = _units(model[0])
    middle = first_stage + (end - first_stage + 1) // 2
    parts = [units[:first_stage], units[first_stage:middle], units[middle:], [model[1:]]]
    groups = [[p for unit in part for p in unit.parameters()] for part in parts]
    inside = {id(p) for unit in units for p in unit.parameters()}
    groups[0] = [p for p in model[0].parameters() if id(p) not in inside] + groups[0]  # such as a class token
    return [group for group in groups if group]


def one_group(model: nn.Module) -> list[list[nn.Parameter]]:
    "fastai splitter for training from scratch: one group of all parameters."
    return [list(model.parameters())]


def group_names(n_groups: int) -> list[str]:
    "stem, early, late, head. One group is called `all`; any other number of groups is numbered."
    if n_groups == 1:
        return ["all"]
    return list(NAMES) if n_groups == len(NAMES) else [f"group {i}" for i in range(n_groups)]


def _units(body: nn.Module) -> tuple[list[nn.Module], int, int]:
    "The layers and stages of the body in order, the position of the first stage, and the position after the last one."
    children = _stages(body)
    if len(children) == 1:
        return _units(children[0])
    total = _size(body)
    containers = [c for c in children if isinstance(c, (nn.Sequential, nn.ModuleList)) and len(_stages(c)) > 1]
    for position, child in enumerate(children):
        if child in containers and (len(containers) == 1 or _size(child) > _DOMINANT * total):
            stages = _stages(child)
            units = children[:position] + stages + children[position + 1 :]
            return units, max(position, 1), position + len(stages)
    places = [i for i, child in enumerate(children) if child in containers] or [1, len(children) - 1]
    return children, max(places[0], 1), places[-1] + 1


def _size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _stages(module: nn.Module) -> list[nn.Module]:
    "The children that have parameters."
    return [child for child in module.children() if _size(child)]
