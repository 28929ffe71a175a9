"""Which class does a trained model see in these images?

Prints class and probability of every image, and marks those that the model is unsure of. Takes the model.pkl of `lrlab
best`, or any Learner made by lrlab that `learn.export` wrote. Such a file can run code: use only files that you trust.

    lrlab predict results/best/model.pkl ~/new-photos
    lrlab predict model.pkl one.jpg two.jpg --csv classes.csv
"""

from typing import Annotated, Any

from lrlab.recipes import cli
from lrlab.recipes.kitchen import options as o
from lrlab.recipes.kitchen.errors import UserError

CSV_HELP = "Also write a table with the probability of every class; --csv=- prints it"
Paths = Annotated[str, o.Option("Data", "MODEL FILE|FOLDER", "The model, then images and folders of images")]
Sure = Annotated[Any, o.Option("Output", "P", "Mark images whose probability is below P", o.number(0.0, 1.0))]
Csv = Annotated[Any, o.Option("Output", "FILE", CSV_HELP, o.as_text)]


@cli.recipe()
def main(*paths: Paths, sure: Sure = 0.7, csv: Csv = None):
    "Print class and probability of every image, and mark those that the model is unsure of."
    if len(paths) < 2:
        raise UserError("lrlab predict needs a model and images, for instance: lrlab predict model.pkl photos")

    from lrlab.recipes.studies.predict import study

    return study.answer(paths[0], paths[1:], sure, csv)


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
