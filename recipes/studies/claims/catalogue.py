"""The claims of claims.ini as objects."""

from collections.abc import Iterable
from configparser import ConfigParser, ExtendedInterpolation, SectionProxy
from dataclasses import dataclass, fields
from pathlib import Path

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.text import did_you_mean, shorten


@dataclass(frozen=True)
class Claim:
    "`better` is claimed to exceed `than`; with `as_good`, to lose less than the tolerance against it."

    name: str
    says: str  # the claim in a sentence
    source: str
    published: str
    setting: str  # ours, in words
    group: str  # of runs, see experiments.GROUPS
    better: str  # a reading of that group
    than: str
    if_so: str  # what it means for a user
    if_not: str
    as_good: bool = False
    schedules: tuple[str, ...] = ()  # whose tuned lr_max it uses

    @classmethod
    def read(cls, section: SectionProxy) -> "Claim":
        "The claim of one section of claims.ini."
        texts = {f.name: " ".join(section[f.name].split()) for f in fields(cls) if f.type is str and f.name != "name"}
        schedules = tuple(section.get("schedules", "").replace(",", " ").split())
        return cls(section.name, **texts, as_good=section.getboolean("as_good", fallback=False), schedules=schedules)


def read_claims() -> tuple[Claim, ...]:
    "All claims, in the order of the file."
    file = ConfigParser(interpolation=ExtendedInterpolation(), delimiters="=")
    file.read_string(Path(__file__).with_name("claims.ini").read_text(encoding="utf-8"))
    return tuple(Claim.read(file[name]) for name in file.sections())


CLAIMS = read_claims()
BY_NAME = {claim.name: claim for claim in CLAIMS}


def parse_claims(claims: str | Iterable[str], argument: str = "claims") -> list[Claim]:
    "Claims by name, from a comma list, a sequence, or `all`. Raises UserError with the nearest name."
    parts = claims.split(",") if isinstance(claims, str) else claims
    names = [name.strip().lower().replace("_", "-") for name in map(str, parts) if name.strip()]
    if names == ["all"]:
        return list(CLAIMS)
    for name in names:
        if name not in BY_NAME:
            hint = did_you_mean(name, BY_NAME, cutoff=0.5)
            raise UserError(f"`{argument}`: there is no claim {name}; the claims are all, {', '.join(BY_NAME)}{hint}")
    if not names or len(set(names)) < len(names):
        raise UserError(f"`{argument}` {shorten(claims)}: expected all, or different names: high-lr,cosine-constant")
    return [claim for claim in CLAIMS if claim.name in names]
