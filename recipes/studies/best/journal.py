"""The steps of `lrlab best`: what each one cost, what it showed and what was decided; and the live line."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

from lrlab.recipes.kitchen.stage import stage
from lrlab.recipes.kitchen.store.manifest import Manifest
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.studies.best.budget import Budget


@dataclass
class Step:
    "One step. `facts` is what later steps need of it; JSON types."

    name: str
    evidence: str = ""
    decision: str = ""
    seconds: float = 0.0
    facts: dict = field(default_factory=dict)


def stored_steps(manifest: Manifest | None) -> list[Step]:
    "The finished steps of a results folder."
    return [Step(**step) for step in (manifest.other.get("steps", []) if manifest else [])]


def find_step(steps: list[Step], name: str) -> Step | None:
    return next((step for step in steps if step.name == name), None)


class Journal:
    "The finished steps of a folder, and what happens now."

    def __init__(self, store: Store, budget: Budget):
        self.store, self.budget = store, budget
        self.steps = stored_steps(store.manifest)
        self.best = ""  # the best model so far, in words
        self.ended = budget.zero  # when the last step did

    def find(self, name: str) -> Step | None:
        return find_step(self.steps, name)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        "A new step for the block to fill. It is stored when the block ends without an error."
        step = Step(name)
        self.now(name)
        yield step
        self.add(step)

    def add(self, step: Step) -> None:
        "Store a step. Its seconds are those since the step before, what was prepared for it included."
        now = self.budget.clock()
        step.seconds, self.ended = round(now - self.ended, 2), now
        self.steps.append(step)
        self.store.update(other=self.store.manifest.other | {"steps": [asdict(step) for step in self.steps]})
        print(f"{step.name} ({step.seconds:.0f} s): {step.evidence}. {step.decision}.", flush=True)

    def now(self, text: str) -> None:
        "Change the live line: the time left, the best so far, and what is being tried."
        minutes, seconds = divmod(max(0, round(self.budget.left())), 60)
        best = f"; best so far {self.best}" if self.best else ""
        stage(f"{minutes}:{seconds:02} left{best}; now: {text}")
