"""What every step of `lrlab best` needs."""

from dataclasses import dataclass

from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.grid.study import Study
from lrlab.recipes.studies.best.features import Features
from lrlab.recipes.studies.best.journal import Journal
from lrlab.recipes.studies.best.plan import Speed


@dataclass
class Work:
    "`images` have the splits train, valid and test; `features` are of the first two; `speed` is at their size."

    study: Study
    journal: Journal
    images: ImageSet
    features: Features
    speed: Speed

    @property
    def seed(self) -> int:
        return self.study.question.seed
