"""Imports point one way: scripts, studies, kitchen, callbacks, schedules. What draws knows nothing of what trains."""

import ast
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = [  # of recipes/kitchen, from the top; a layer imports from itself and from those below
    {"grid"},
    {"runs"},
    {"workloads", "learner_workload", "default_model"},
    {"learner", "models", "data"},
    {
        "logs",
        "store",
        "stats",
        "figures",
        "machine",
        "schedule_names",
        "optimizer_names",
        "options",
        "from_file",
        "image_source",
        "training_code",
        "command_line",
    },
    {"learning_rates"},
    {"errors", "text", "stage"},
]
HEAVY = {"torch", "torchvision", "fastai", "fasttransform", "lrlab.callbacks"}
DRAWING = {"report", "figure", "page"}  # modules of a study that a reader of results needs
SCHEDULES = ["schedule", "schedules", "cyclic", "compose", "arguments", "cycle_bounds", "lint"]


def module_name(file: Path) -> str:
    parts = ("lrlab", *file.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(file): file for folder in ("callbacks", "recipes") for file in (ROOT / folder).rglob("*.py")}


def is_for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def import_nodes(node: ast.AST, inside_functions: bool):
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child
        elif not is_for_types_only(child) and (inside_functions or not isinstance(child, ast.FunctionDef)):
            yield from import_nodes(child, inside_functions)


@cache
def imports(module: str, inside_functions: bool = True) -> set[str]:
    "What a module imports: the full names of ours, the top-level names of others."
    file, found = MODULES[module], set()
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in import_nodes(ast.parse(file.read_text(encoding="utf-8")), inside_functions):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            base = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            source = ".".join(filter(None, [base, node.module]))
            names = [f"{source}.{alias.name}" for alias in node.names]
        for name in names:
            ours = name if name in MODULES else name.rpartition(".")[0]
            found.add(ours if ours in MODULES else name.partition(".")[0])
    return found


def ours(module: str) -> set[str]:
    return {name for name in imports(module) if name in MODULES}


def layer(module: str) -> int:
    "The position of a kitchen module in LAYERS."
    name = module.split(".")[3]
    return next(position for position, names in enumerate(LAYERS) if name in names)


KITCHEN = sorted(name for name in MODULES if name.startswith("lrlab.recipes.kitchen."))
STUDIES = sorted(name for name in MODULES if name.startswith("lrlab.recipes.studies."))
PURE = [
    name
    for name in [*KITCHEN, *STUDIES]
    if name.startswith(tuple(f"lrlab.recipes.kitchen.{part}." for part in ("store", "stats", "figures")))
    or name == "lrlab.recipes.kitchen.runs.plan"
    or (name in STUDIES and name.rpartition(".")[2] in DRAWING)
]


@pytest.mark.parametrize("module", KITCHEN)
def test_a_layer_of_the_kitchen_imports_only_downwards(module):
    for name in ours(module):
        assert name.startswith(("lrlab.callbacks", "lrlab.recipes.kitchen")), f"{module} imports {name}"
        if name.startswith("lrlab.recipes.kitchen."):
            assert layer(name) >= layer(module), f"{module} imports {name}"


@pytest.mark.parametrize("module", STUDIES)
def test_a_study_imports_no_other_study(module):
    study = module.split(".")[3]
    for name in ours(module):
        assert not name.startswith("lrlab.recipes.") or name.split(".")[2] in ("kitchen", "studies"), name
        if name.startswith("lrlab.recipes.studies.") and study != "claims":
            assert name.split(".")[3] == study, f"{module} imports {name}"


@pytest.mark.parametrize("module", sorted(name for name in MODULES if name.startswith("lrlab.callbacks")))
def test_the_callbacks_need_no_recipe_and_a_schedule_needs_no_fastai(module):
    assert not any(name.startswith("lrlab.recipes") for name in ours(module))
    if module.rpartition(".")[2] in SCHEDULES:
        assert not imports(module) & {"torch", "fastai"}


@pytest.mark.parametrize("module", PURE)
def test_what_plans_stores_and_draws_needs_neither_torch_nor_fastai(module):
    seen, todo = set(), [module]
    while todo:
        name = todo.pop()
        seen.add(name)
        heavy = {other for other in imports(name) if other.startswith(tuple(HEAVY))}
        assert not heavy, f"{module} reaches {heavy} through {name}"
        todo += ours(name) - seen


def test_no_import_closes_a_circle():
    graph = {module: {n for n in imports(module, inside_functions=False) if n in MODULES} for module in MODULES}
    assert len(list(TopologicalSorter(graph).static_order())) >= len(MODULES)


@pytest.mark.parametrize("folder", [p for p in (ROOT / "recipes").rglob("*") if p.is_dir() and p.name != "__pycache__"])
def test_a_folder_can_be_read_at_a_glance(folder):
    assert len(list(folder.glob("*.py"))) <= 16
