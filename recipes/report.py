"""Redraw the tables and figures of a results folder from its stored runs.

lrlab report results/compare
"""

from lrlab.recipes import cli


def main(
    *dirs: str,  # Folders that lrlab compare has written
):
    "Rebuild runs.csv, epochs.csv, summary.csv and the figures of every folder."
    from lrlab.recipes.kitchen import report
    from lrlab.recipes.kitchen.errors import UserError
    from lrlab.recipes.kitchen.store import Store

    if not dirs:
        raise UserError("lrlab report needs a results folder, for instance: lrlab report results/compare")
    stores = [Store(folder) for folder in dirs]
    for store in stores:
        if not store.config:
            raise UserError(f"{store.out}: no config.json of lrlab compare there")
    results = []
    for store in stores:
        with store:
            results.append(report.redraw(store))
        print(results[-1].text)
    return results


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
