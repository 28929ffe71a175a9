"""The HTML page of a study, filled into its report.html by jinja2."""

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from lrlab.recipes.kitchen.text import plural


def html_template(package: str) -> Template:
    "The report.html of a package. Every name from outside (classes, labels, errors, paths) is escaped."
    environment = Environment(
        loader=PackageLoader(package, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["plural"] = plural
    return environment.get_template("report.html")
