"""README: its Python runs as pasted, its commands exist, its figures and links are there."""

import re
import shlex
from pathlib import Path

import pytest
from fastcore.script import anno_parser

from lrlab.recipes import cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, flags=re.M | re.S)
PYTHON = [code for language, code in BLOCKS if language == "python"]
COMMANDS = sorted(
    {
        match.strip()
        for text in [code for language, code in BLOCKS if language == "sh"] + re.findall(r"`(lrlab [^`]+)`", README)
        for match in re.findall(r"\blrlab [a-z][^\n#&`]*", text)
    }
)


@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
def test_python_blocks_run_as_pasted(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_understood(command):
    "The recipe exists and takes these options; what the recipes do is tested elsewhere."
    name, *options = shlex.split(command)[1:]
    if name.startswith("-"):
        return
    assert name in cli.recipes(), command
    module = __import__(f"lrlab.recipes.{name.replace('-', '_')}", fromlist=["main"])
    anno_parser(module.main, prog=name).parse_args([option for option in options if option != "--help"])


def test_links_and_figures_are_there():
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    missing = [t for t in targets if not t.startswith("http") and not (ROOT / t).exists()]
    assert targets and not missing


def test_the_test_command_is_the_one_that_ci_runs():
    assert len(re.findall(r"^python3 -m venv \.venv && .*pytest -n 2$", README, flags=re.M)) == 1
    assert ".*pytest' README.md" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
