"""README, its Thai translation and the notebook: Python runs as pasted, commands exist, links lead somewhere.

The translation says what the original says, in another language: the same code, commands, links and numbers.
"""

import json
import re
import shlex
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from lrlab.recipes import cli
from lrlab.recipes.kitchen.command_line import command_line

ROOT = Path(__file__).parent.parent


def notebook_text(file: Path) -> str:
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def blocks(text: str) -> list[tuple[str, str]]:
    "Language and code of every fenced block, without the comments, which are translated."
    found = re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.M | re.S)
    return [(language, re.sub(r" *#.*$", "", code, flags=re.M)) for language, code in found]


def prose(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)


def inline_code(text: str) -> list[str]:
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose(text))]


def links(text: str) -> list[str]:
    return re.findall(r"\]\(([^)#]+)\)", prose(text))


def numbers(text: str) -> list[str]:
    "Those in the text, in tables and in the comments of code."
    text = re.sub(r"`[^`]+`|\]\([^)]+\)", "", prose(text)) + " ".join(re.findall(r"#.*$", text, flags=re.M))
    return re.findall(r"\d[\d,.]*\d(?:e-?\d+)?|\d(?:e-?\d+)?", text)


def pages_numbers(*folders: str) -> set[str]:
    "All numbers on the pages of results, the printed answers included."
    texts = [(ROOT / "results" / "reference" / folder / "README.md").read_text(encoding="utf-8") for folder in folders]
    return set(re.findall(r"\d[\d,.]*\d(?:e-?\d+)?|\d(?:e-?\d+)?", "\n".join(texts)))


PAGES = ("README.md", "README.th.md", "CONTRIBUTING.md", "recipes/README.md")
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in PAGES}
TEXTS["quickstart.ipynb"] = notebook_text(ROOT / "recipes" / "quickstart.ipynb")
README, THAI = TEXTS["README.md"], TEXTS["README.th.md"]
PYTHON = [
    code for page in (README, TEXTS["recipes/README.md"]) for language, code in blocks(page) if language == "python"
]
COMMANDS = sorted(
    {
        (name, match.strip())
        for name, text in TEXTS.items()
        for code in [code for language, code in blocks(text) if language == "sh"] + inline_code(text)
        for match in re.findall(r"(?<![\w/.])lrlab [a-z][^\n#&]*|(?<=bin/)lrlab [a-z][^\n#&]*", code)
    }
)


@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
@pytest.mark.usefixtures("undrawn")
def test_python_blocks_run_as_pasted(code, tmp_path, monkeypatch):
    "Without figures, which other tests look at."
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})


@pytest.mark.parametrize(("file", "command"), COMMANDS)
def test_commands_are_understood(file, command):
    "The recipe exists and takes these options; what the recipes do is tested elsewhere."
    name, *options = shlex.split(command)[1:]
    assert name in cli.recipes(), command
    module = __import__(f"lrlab.recipes.{name.replace('-', '_')}", fromlist=["main"])
    app = command_line(module.main, name)
    app.parse_args([option for option in options if option != "--help"], exit_on_error=False, print_error=False)


@pytest.mark.parametrize("name", PAGES)
def test_links_and_figures_are_there(name):
    folder = (ROOT / name).parent
    missing = [link for link in links(TEXTS[name]) if not link.startswith("http") and not (folder / link).exists()]
    assert not missing


@pytest.mark.parametrize("recipe", cli.recipes())
def test_every_recipe_is_in_the_readme(recipe):
    assert f"`lrlab {recipe}" in README
    assert f"\n## {recipe}\n" in TEXTS["recipes/README.md"]


ROWS = re.findall(r"^\|.*\| `lrlab .*?` \| ([\d.]+) \| .*\[(.*)\]\(results/reference/(\w+)/.*\|$", README, flags=re.M)


@pytest.mark.parametrize(("minutes", "answer", "folder"), ROWS)
def test_the_table_of_recipes_says_what_the_results_say(minutes, answer, folder):
    page = (ROOT / "results" / "reference" / folder / "README.md").read_text(encoding="utf-8")
    assert set(numbers(answer)) <= pages_numbers(folder)
    if took := re.search(r"took ([\d.]+) minutes( of one core)?", page):
        assert float(minutes) == (round(float(took[1]) / 2 + 0.1) if took[2] else float(took[1])), "on two cores"


def test_the_answer_and_the_speed_are_those_of_the_results():
    (answer,) = [code for language, code in blocks(README) if language == "text"]
    page = (ROOT / "results" / "reference" / "compare" / "README.md").read_text(encoding="utf-8")
    parts = [part.strip("\n") for part in answer.split("...\n")]
    printed = re.sub(r" *#.*$", "", page, flags=re.M)
    assert len(parts) == 2 and all(part in printed for part in parts)
    section = README.partition("## How fast it is")[2].partition("\n## ")[0]
    own = set(numbers(section)) - {"2", "16"}  # AVX2, bf16
    assert len(own) > 5 and own <= pages_numbers("compare", "speed")


def test_the_test_command_is_the_one_that_ci_runs():
    (command,) = [code for language, code in blocks(README) if language == "sh" and "pytest" in code]
    assert command.startswith("python3 -m venv .venv &&") and command.endswith("pytest -n 2\n")
    found = re.search(r"awk '(.*)' README.md", (ROOT / ".ci" / "run").read_text(encoding="utf-8"))[1]
    extracted = subprocess.run(["awk", found, str(ROOT / "README.md")], capture_output=True, text=True, check=True)
    assert extracted.stdout == command


@pytest.mark.parametrize("part", [blocks, inline_code, links, numbers])
def test_the_translation_keeps_up(part):
    "Not its words, which only a reader can judge, but everything that must be the same in every language."
    ours, theirs = Counter(part(README)), Counter(part(THAI))
    ours.subtract({"README.th.md": 1} if part is links else {})
    theirs.subtract({"README.md": 1} if part is links else {})
    assert not ours - theirs, "README.th.md lacks these"
    assert not theirs - ours, "README.th.md has these, README.md does not"


def test_the_translation_has_the_same_shape():
    shapes = [re.findall(r"^(#+|- |\||!\[)", prose(text), flags=re.M) for text in (README, THAI)]
    assert shapes[0] == shapes[1]


def test_the_translation_is_thai():
    letters = re.sub(r"`[^`]+`|\]\([^)]+\)", "", prose(THAI))
    assert len(re.findall(r"[\u0e00-\u0e7f]", letters)) > len(re.findall(r"[A-Za-z]", letters))
