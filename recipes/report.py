"""Redraw the tables, figures and report of a results folder.

Works from the stored runs, without training. Several folders of compare, or of claims, are merged into one report.

    lrlab report results/compare
    lrlab report monday tuesday --out both
    lrlab report results/compare --csv runs.csv
"""

from dataclasses import replace
from functools import partial
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
    from lrlab.recipes.kitchen.errors import UserError
    from lrlab.recipes.kitchen.store.csv_option import check_csv, with_csv
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
    if csv and stores[0].manifest.recipe != "compare":
        raise UserError("`csv` is for results of lrlab compare; the tables of other recipes lie in their folders")
    check_csv(csv, [own.out for own in stores])
    store, draw = stores[0], report.redraw
    if len(stores) > 1 or out:
        if len({own.manifest.recipe for own in stores}) > 1 or not hasattr(report, "merged"):
            raise UserError(
                "only results of lrlab compare, or of lrlab claims, can be merged or drawn into another `out`"
            )
        store, draw = Store(out or "results/report"), partial(report.merged, stores)
        if store.out.resolve() in [own.out.resolve() for own in stores]:
            raise UserError(f"`out` {store.out}: is one of the folders to be merged; choose another")
    try:
        with store:
            result = draw(store)
    except (UserError, OSError):
        raise
    except Exception as error:  # the folder holds values that lrlab would not have written
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{', '.join(dirs)}: damaged, or not written by lrlab ({reason})") from error
    if csv:
        from lrlab.recipes.studies.compare.result import run_table

        table = run_table(result.runs, result.summary, store.manifest)
        result = replace(result, text=with_csv(result.text, "Table of all runs", table, csv))
    return result


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
