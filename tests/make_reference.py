"""Make the results in results/reference/ anew: `python tests/make_reference.py [FOLDER...]`.

Each folder is made by one `lrlab` command of the committed code. A folder that this commit has finished is skipped, and
one that it has begun is resumed, so the script can be stopped at any time. Every folder gets a README.md: the question,
the command, the answer that was printed, and the figures.
"""

import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

from lrlab.recipes.kitchen.machine.environment import environment
from lrlab.recipes.kitchen.store.packed import pack
from lrlab.recipes.kitchen.text import plural

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "results" / "reference"
PROGRESS = r"^(\[\d+/\d+\] |To do: |Already there: ).*\n"  # lines that are no answer
COMMANDS = {  # folder -> command
    "compare": "compare",
    "epochs": "epochs",
    "lr_find": "lr-find",
    "lr_band": "lr-band",
    "one_cycle": "one-cycle",
    "learning_rate": "learning-rate",
    "learning_rate_solar": "learning-rate --data solar",
    "snapshot_ensemble": "snapshot-ensemble",
    "gradient_descent": "gradient-descent",
    "speed": "speed",
    "transfer": "transfer --seeds 8",  # the three of the default decide little
    "transfer_vs_scratch": "transfer-vs-scratch",
    "transfer_224": "transfer --arms head_only --size 224 --epochs 10 --lr slice(3e-6,1e-3) --seeds 5",
    "learning_rate_vgg": "learning-rate --data cifar:500 --arch vgg16_bn --size 32 --lr 3e-4 --epochs 10",
}


def make(name: str) -> None:
    "Make one folder, unless this commit has done so already."
    out, commit = REFERENCE / name, environment()["commit"]
    config = out / "config.json"
    is_ours = config.exists() and json.loads(config.read_text()).get("commit") == commit
    if is_ours and (out / "README.md").exists():
        print(f"{name}: done by this commit already")
        return
    if not is_ours:
        shutil.rmtree(out, ignore_errors=True)
    command, begun = ["lrlab", *shlex.split(COMMANDS[name])], time.monotonic()
    print(f"{name}: {shlex.join(command)}", flush=True)
    # By its name and into a relative folder: config.json keeps the command.
    program = Path(sys.executable).with_name("lrlab")
    arguments = [program, *command[1:], "--out", out.relative_to(ROOT)]
    done = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    minutes = (time.monotonic() - begun) / 60
    pack(out)
    (out / ".lock").unlink(missing_ok=True)
    (out / "README.md").write_text(page(out, shlex.join(command), done.stdout, minutes), encoding="utf-8")


def page(out: Path, command: str, answer: str, minutes: float) -> str:
    "The page of a folder."
    config = json.loads((out / "config.json").read_text())
    recipe = import_module(f"lrlab.recipes.{command.split()[1].replace('-', '_')}")
    question = (recipe.__doc__ or "").splitlines()[0]
    answer = re.sub(PROGRESS, "", answer.replace("results/reference/", ""), flags=re.M).strip("\n")
    figures = "\n".join(f"![{file.stem}]({file.name})\n" for file in sorted(out.glob("*.png")))
    cores = plural(int(config["machine"]["cores"]), "core")
    return (
        f"# {question}\n\n`{command}` took {minutes:.1f} minutes on {cores} of {config['machine']['cpu']}, on "
        f"{config['date'][:10]}, at commit {config['commit']}.\n\n```text\n{answer}\n```\n\n{figures}\n"
        "[What each file is](../../README.md#what-each-file-is). `python tests/make_reference.py` wrote this page.\n"
    )


if __name__ == "__main__":
    for folder in sys.argv[1:] or COMMANDS:
        make(folder)
