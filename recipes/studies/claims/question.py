"""What `lrlab claims` is asked: which claims on which data, and what of that can be tried here."""

from dataclasses import asdict, dataclass, replace

from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.machine.optional_packages import is_installed, remedy
from lrlab.recipes.kitchen.stage import print_note
from lrlab.recipes.kitchen.stats.measures import TOLERANCE, Measure
from lrlab.recipes.kitchen.workloads import ImageWorkload, make_workload
from lrlab.recipes.studies.claims.bench import Scale
from lrlab.recipes.studies.claims.catalogue import Claim
from lrlab.recipes.studies.claims.experiments import GROUPS
from lrlab.recipes.studies.claims.verdict import Rule, looks_of

DATA = "digits,fashion_mnist:1000,cifar:1000,solar"  # the default: what trains fastest comes first
UNTIL_DECIDED = 20  # seeds at most
PACKAGES = {"schedule_free": "schedulefree", "prodigy": "prodigyopt"}  # group of runs -> the package that it needs
FEWEST_PX = 32  # smaller images, enlarged, say nothing about a model that was pretrained on images


@dataclass(frozen=True)
class Question:
    "`until_decided`: the claims are judged several times, and only the undecided ones get all seeds."

    workloads: list[ImageWorkload]
    claims: list[Claim]
    seeds: list[int]
    scale: Scale
    threads: int = 1
    until_decided: bool = False
    tolerance: float = TOLERANCE
    skips_missing: bool = False  # data that cannot be loaded are named, and left out

    def __post_init__(self):
        Measure().check_tolerance(self.tolerance)

    @property
    def rule(self) -> Rule:
        return Rule(self.tolerance, looks_of(len(self.seeds), self.until_decided))

    def groups_on(self, image_set: ImageSet) -> list[str]:
        "The groups of runs that the claims need, as far as they make sense on these images."
        asked = {claim.group for claim in self.claims}
        cannot = {group: not is_installed(package) for group, package in PACKAGES.items()}
        cannot["transfer"] = image_set.size < FEWEST_PX
        return [group for group in GROUPS if group in asked and not cannot.get(group)]

    def labels(self) -> tuple[str, ...]:
        "The schedules whose tuned lr_max some claim uses."
        return tuple(dict.fromkeys(label for claim in self.claims for label in claim.schedules))

    def to_dict(self, workload: ImageWorkload, image_set: ImageSet) -> dict:
        "What the numbers of one workload depend on. Not the claims: another claim continues with the same runs."
        return workload.to_dict(image_set) | {
            "seeds": self.seeds,
            "scale": asdict(self.scale),
            "threads": self.threads,
            **asdict(self.rule),
        }


def parse_workloads(data: str, precision: str, cache: bool = True) -> list[ImageWorkload]:
    "The workloads of a comma list. Raises UserError for none, or one twice."
    names = [name.strip() for name in str(data).split(",") if name.strip()]
    if not names or len(set(names)) < len(names):
        raise UserError(f"`data` {data}: expected different datasets or folders, such as solar,digits")
    return [make_workload(name, "small", None, 64, precision, cache=cache) for name in names]


def load(question: Question) -> tuple[Question, list[ImageSet]]:
    "The images of every workload, and the question with those workloads whose images are there."
    data, there = [], []
    for workload in question.workloads:
        try:
            data.append(workload.load())
        except UserError as error:
            if not question.skips_missing:
                raise
            print_note(str(workload.data), f"excluded: {error}")
            continue
        there.append(workload)
    return replace(question, workloads=there), data


def check_groups(question: Question, data: list[ImageSet]) -> None:
    "Say what is left out for want of a package. Raises UserError where no claim can be tried."
    groups = {claim.group for claim in question.claims}
    missing = {group: package for group, package in PACKAGES.items() if group in groups and not is_installed(package)}
    reasons = [
        f"{group.replace('_', '-')} needs the package {package}: {remedy(package)}"
        for group, package in missing.items()
    ]
    if "descent" in groups or any(map(question.groups_on, data)):
        for reason in reasons:
            print_note("claims", f"{reason}; it is excluded")
        return
    if "transfer" in groups:
        sizes = ", ".join(f"{image_set.name} has {image_set.size}" for image_set in data)
        reasons.append(f"a pretrained model is tried on images of {FEWEST_PX} px or more; {sizes}")
    raise UserError(f"`claims`: {'; '.join(reasons)}")
