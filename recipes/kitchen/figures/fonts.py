"""Names in scripts that matplotlib's own font lacks are drawn in another font of this machine."""

import os
import sys
from functools import cache

from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text


def show_every_script(texts: list[Text]) -> None:
    "Give the texts fonts that have their characters. A note says which characters no font of this machine has."
    missing = {text: _missing(text) for text in texts if not text.get_text().isascii()}
    families = _families(frozenset[int]().union(*missing.values()))  # of all texts together: one note
    for text, characters in missing.items():
        if characters:
            text.set_fontfamily(list(dict.fromkeys([*text.get_fontfamily(), *families])))


def _missing(text: Text) -> frozenset[int]:
    "The characters that the font of a text lacks."
    own = findfont(FontProperties(family=text.get_fontfamily()))
    return frozenset(map(ord, text.get_text())) - _characters(own) - {ord("\n")}


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
