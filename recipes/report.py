"""Redraw the tables, figures and report of a results folder from its stored runs, or merge several into one.

lrlab report results/compare
lrlab report monday tuesday --out both
"""

from lrlab.recipes import cli

DRAWN_BY = {  # recipe -> the module of the kitchen whose `redraw` makes its tables and figures
    "compare": "compare.report",
    "learning-rate": "learning_rate.study",
    "snapshot-ensemble": "snapshot_ensemble.study",
    "transfer": "transfer.study",
    "transfer-vs-scratch": "transfer_vs_scratch.study",
}


def main(
    *dirs: str,  # Folders that lrlab compare has written, or one of another recipe
    out: str = None,  # Folder of the merged report (several folders: results/report; one: that folder itself)
):
    "Rebuild runs.csv, epochs.csv, summary.csv, the figures and report.html; several folders give one report."
    from importlib import import_module
    from pathlib import Path

    from lrlab.recipes.kitchen.errors import UserError
    from lrlab.recipes.kitchen.store.store import Store
    from lrlab.recipes.kitchen.text import printable
    from lrlab.recipes.studies.compare import report

    if not dirs:
        raise UserError("lrlab report needs a results folder, for instance: lrlab report results/compare")
    stores = [Store(folder) for folder in dirs]
    for store in stores:
        if not store.config:
            raise UserError(f"{store.out}: no config.json of lrlab compare there")
    recipe = str(stores[0].config.get("recipe", "compare"))
    if recipe not in DRAWN_BY:
        raise UserError(f"{stores[0].out}: the same `lrlab {printable(recipe)}` again redraws it, without training")
    if (len(stores) > 1 or out) and any(store.config.get("recipe", "compare") != "compare" for store in stores):
        raise UserError("only results of lrlab compare can be merged, or drawn into another folder with `out`")
    try:
        if len(stores) == 1 and not out:
            with stores[0] as store:
                result = import_module(f"lrlab.recipes.studies.{DRAWN_BY[recipe]}").redraw(store)
        else:
            target = Path(out or "results/report")
            if target.resolve() in [store.out.resolve() for store in stores]:
                raise UserError(f"`out` {target}: is one of the folders to be merged; choose another")
            with Store(target) as store:
                result = report.merged(stores, store)
    except (UserError, OSError):
        raise
    except Exception as error:  # whatever is made of values that lrlab would not have written
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{', '.join(dirs)}: damaged, or not written by lrlab ({reason})") from error
    print(result.text)
    return result


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
