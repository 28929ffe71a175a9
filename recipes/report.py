"""Redraw the tables, figures and report of a results folder from its stored runs, or merge several into one.

lrlab report results/compare
lrlab report monday tuesday --out both
"""

from lrlab.recipes import cli


def main(
    *dirs: str,  # Folders that lrlab compare has written
    out: str = None,  # Folder of the merged report (several folders: results/report; one: that folder itself)
):
    "Rebuild runs.csv, epochs.csv, summary.csv, the figures and report.html; several folders give one report."
    from pathlib import Path

    from lrlab.recipes.kitchen import report
    from lrlab.recipes.kitchen.errors import UserError
    from lrlab.recipes.kitchen.store import Store

    if not dirs:
        raise UserError("lrlab report needs a results folder, for instance: lrlab report results/compare")
    stores = [Store(folder) for folder in dirs]
    for store in stores:
        if not store.config:
            raise UserError(f"{store.out}: no config.json of lrlab compare there")
    try:
        if len(stores) == 1 and not out:
            with stores[0] as store:
                result = report.redraw(store)
        else:
            target = Path(out or "results/report")
            if target.resolve() in [store.out.resolve() for store in stores]:
                raise UserError(f"--out {target}: is one of the folders to be merged; choose another")
            with Store(target) as store:
                result = report.merged(stores, store)
    except (UserError, OSError):
        raise
    except Exception as error:  # whatever is made of values that lrlab would not have written
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{', '.join(dirs)}: damaged, or not written by lrlab compare ({reason})") from error
    print(result.text)
    return result


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
