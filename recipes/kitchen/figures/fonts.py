"""Names in scripts that matplotlib's own font lacks are drawn in another font of this machine."""

import os
import sys
from functools import cache

from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text


def show_every_script(texts: list[Text]) -> None:
    "Give the texts fonts that have their characters. A note says which characters no font of this machine has."
    for text in texts:
        own, written = text.get_fontfamily(), text.get_text()
        if written.isascii():
            continue
        missing = frozenset(map(ord, written)) - _characters(findfont(FontProperties(family=own))) - {ord("\n")}
        if missing:
            text.set_fontfamily([*own, *_families(missing)])


@cache
def _characters(file: str) -> frozenset[int]:
    return frozenset(get_font(file).get_charmap())


@cache
def _families(missing: frozenset[int]) -> tuple[str, ...]:
    "The fewest families, greedily, that have these characters."
    families = []
    installed = [font for font in fontManager.ttflist if font.style == "normal" and os.path.isfile(font.fname)]
    fonts = {font.name: font.fname for font in installed if not font.name.startswith("Last Resort")}  # it has boxes
    while missing and fonts:
        best = max(sorted(fonts), key=lambda name: len(missing & _characters(fonts[name])))
        if not missing & _characters(fonts[best]):
            break
        families.append(best)
        missing -= _characters(fonts[best])
    if missing:
        lacking = "".join(map(chr, sorted(missing)[:10]))
        print(f"Note: no font on this machine has the characters {lacking}; figures show boxes there.", file=sys.stderr)
    return tuple(families)
