"""Redraw the tables, figures and report of a results folder.

Works from the stored runs, without training. Several folders of compare, or of claims, are merged into one report.

    lrlab report results/compare
    lrlab report monday tuesday --out both
    lrlab report results/compare --csv runs.csv
"""

from typing import Annotated, Any

from lrlab.recipes import cli
from lrlab.recipes.kitchen.options import Option

FOLDERS_HELP = "Results folders: one of any recipe, or several of compare or of claims"
Folders = Annotated[str, Option("Data", "FOLDER", FOLDERS_HELP)]
OUT_HELP = "Folder of the new report [default: the folder itself; results/report if there are several]"

CSV_HELP = "Also write one table of all runs of compare, with their verdict; --csv=- prints it"


@cli.recipe()
def main(
    *dirs: Folders,
    out: Annotated[Any, Option("Output", "FOLDER", OUT_HELP)] = None,
    csv: Annotated[Any, Option("Output", "FILE", CSV_HELP)] = None,
):
    "Rebuild runs.csv, epochs.csv, summary.csv, the figures and report.html; several folders give one report."
    from pathlib import Path

    from lrlab.recipes.kitchen.errors import UserError
    from lrlab.recipes.kitchen.store.manifest import Manifest
    from lrlab.recipes.kitchen.store.store import Store

    if not dirs:
        raise UserError("lrlab report needs a results folder, for instance: lrlab report results/compare")
    stores = [Store(folder) for folder in dirs]
    for store in stores:
        if not store.out.is_dir():
            raise UserError(f"{store.out}: there is no such folder")
        if Manifest.read(store.out) is None:
            raise UserError(f"{store.out}: not a results folder of lrlab; it holds no config.json")
    report = _report_of(stores[0])
    is_merged = len(stores) > 1 or out is not None
    if is_merged and (len({store.manifest.recipe for store in stores}) > 1 or not hasattr(report, "merged")):
        raise UserError("only results of lrlab compare, or of lrlab claims, can be merged or drawn into another `out`")
    if csv:
        _check_table(csv, stores[0])
    try:
        if not is_merged:
            with stores[0] as store:
                result = report.redraw(store)
                manifest = store.manifest
        else:
            target = Path(out or "results/report")
            if target.resolve() in [store.out.resolve() for store in stores]:
                raise UserError(f"`out` {target}: is one of the folders to be merged; choose another")
            with Store(target) as store:
                result = report.merged(stores, store)
                manifest = store.manifest
    except (UserError, OSError):
        raise
    except Exception as error:  # the folder holds values that lrlab would not have written
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{', '.join(dirs)}: damaged, or not written by lrlab ({reason})") from error
    return _with_table(result, manifest, csv) if csv else result


def _check_table(csv: str, store) -> None:
    "Raise UserError for a table that could not be written."
    from pathlib import Path

    from lrlab.recipes.kitchen.errors import UserError

    folder = Path(csv).expanduser().parent
    if store.manifest.recipe != "compare":
        raise UserError("`csv` is for results of lrlab compare; the tables of other recipes lie in their folders")
    if not folder.is_dir():
        raise UserError(f"`csv` {csv}: there is no folder {folder}")


def _with_table(result, manifest, csv: str):
    "The result, with the table of all runs written, or as the text that is printed."
    from dataclasses import replace
    from pathlib import Path

    from lrlab.recipes.kitchen.store.files import write_atomically
    from lrlab.recipes.studies.compare.result import run_table

    table = run_table(result.runs, result.summary, manifest).to_csv(index=False)
    if csv == "-":
        return replace(result, text=table.rstrip("\n"))
    write_atomically(Path(csv).expanduser(), table)
    return replace(result, text=f"{result.text}\nTable of all runs: {csv}")


def _report_of(store):
    "The module that draws the results of the recipe that wrote a folder. The folder of a study has the recipe's name."
    from importlib import import_module
    from importlib.util import find_spec

    from lrlab.recipes import studies
    from lrlab.recipes.kitchen.errors import UserError
    from lrlab.recipes.kitchen.text import printable

    recipe = str(store.manifest.recipe)  # untrusted: the folder may be a stranger's
    study = f"{studies.__name__}.{recipe.replace('-', '_')}"
    is_study = recipe.replace("-", "_").isidentifier() and find_spec(study) is not None
    module = import_module(f"{study}.report") if is_study and find_spec(f"{study}.report") else None
    if not hasattr(module, "redraw"):
        raise UserError(f"{store.out}: the same `lrlab {printable(recipe)}` again redraws it, without training")
    return module


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
