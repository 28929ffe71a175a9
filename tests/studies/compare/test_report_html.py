"""report.html: all in one file, nothing fetched, hostile names escaped; also as a browser sees it, if there is one."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from lrlab.recipes import compare
from lrlab.recipes.kitchen.grid import tuning as tune
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.studies.compare.report import Report, redraw
from tests.conftest import write_images

HOSTILE = '<img src=x onerror="alert(1)"> & co'


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    "A tuned comparison at two budgets, with a hostile class name and an unreadable image, as a report."
    folder = tmp_path_factory.mktemp("report")
    for i, name in enumerate(("left", "right")):
        write_images(folder / "images" / name, 32, seed=i, size=12)
    (folder / "images" / "right").rename(folder / "images" / HOSTILE.replace("/", ""))
    (folder / "images" / "left" / "broken.png").write_bytes(b"no picture")
    options = {
        "epochs": "1,2",
        "seeds": "2",
        "schedules": "constant,CosineRestarts(cycle_len=0.5, cycle_mult=1)",
        "tune": True,
        "tune_points": 3,
        "tune_seeds": 1,
        "size": 12,
        "bs": 8,
        "jobs": "1",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tune, "MAX_EXTENSIONS", 1)  # noise has its best LR at an edge more often than not
        patch.setattr(Report, "files", lambda report: {})  # the page has figures of its own
        return compare.main(str(folder / "images"), **options, out=folder / "out").out / "report.html"


class Tags(HTMLParser):
    "What a page holds: its tags with their attributes, and whether every tag that opens also closes."

    VOID = {"meta", "link", "img", "br", "hr", "input"}

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def named(self, name: str) -> list[dict]:
        return [attrs for tag, attrs in self.tags if tag == name]


def test_it_is_one_file_without_scripts_and_its_tags_match(page):
    tags = Tags(page.read_text(encoding="utf-8"))
    assert tags.open == [] and not tags.named("script") and not tags.named("iframe")
    addresses = [a for _, attrs in tags.tags for name, a in attrs.items() if name in ("src", "href", "xlink:href")]
    assert addresses and all(a.startswith(("#", "data:")) for a in addresses)
    assert not re.search(r"""url\((?!["']?(#|data:))""", page.read_text(encoding="utf-8"))
    ids = [attrs["id"] for _, attrs in tags.tags if "id" in attrs]
    assert len(ids) == len(set(ids)), "links within the page lead to one place"
    assert {a[1:] for a in addresses if a.startswith("#")} <= set(ids)
    assert not any(name.startswith("on") for _, attrs in tags.tags for name in attrs)


def test_names_from_outside_are_text(page):
    text = page.read_text(encoding="utf-8")
    assert "<img src=x" not in text and "&lt;img src=x onerror=" in text


def test_everything_a_sceptic_asks_for_is_there(page):
    text, tags = page.read_text(encoding="utf-8"), Tags(page.read_text(encoding="utf-8"))
    figures = {attrs["id"] for attrs in tags.named("figure")}
    assert figures == {f"figure-{n}" for n in ("final", "budgets", "accuracy", "loss", "lr", "lr-find", "tuning")}
    drawn = [attrs for attrs in tags.named("svg") if "aria-label" in attrs]
    assert len(drawn) == len(figures) + 8, "and one for each of the 2 x 2 x 2 runs"
    assert text.index("<h1>") < text.index("fit_schedule(") < text.index('id="figures"') < text.index('id="ranking"')
    config = json.loads((page.parent / "config.json").read_text(encoding="utf-8"))
    for shown in (config["machine"]["cpu"], config["versions"]["fastai"], "the owner", "broken.png", "left"):
        assert shown in text
    assert text.count("data:image/png;base64,") == 8, "four sample images of each class"
    assert "Every schedule tried the same" in text and "with 1 seed that the comparison does not use" in text
    assert all(attrs.get("alt") for attrs in tags.named("img"))


def test_without_a_finished_run_it_recommends_nothing(page, tmp_path):
    "And says so, with the reasons."
    shutil.copytree(page.parent, tmp_path / "out")
    for file in (tmp_path / "out").glob("runs/[!t.]*/run.json"):
        row = json.loads(file.read_text())
        row |= {"status": "diverged", "accuracy": None, "error": "diverged at step 3 <b>", "diverged_step": 3}
        file.write_text(json.dumps(row))
    with Store(tmp_path / "out") as store:
        result = redraw(store)
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "nothing to recommend" in text and "diverged at step 3 &lt;b&gt;" in text
    assert (result.summary.n == 0).all() and "No run finished" in result.text
    assert pd.read_csv(tmp_path / "out" / "summary.csv")["mean"].isna().all()


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = [
    *"--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking".split(),
    *"--disable-component-update --disable-sync --disable-dev-shm-usage --enable-logging=stderr".split(),
    "--host-resolver-rules=MAP * ~NOTFOUND",
]


def browse(url: str, folder: Path, *options: str) -> tuple[set[str], str, str]:
    """What a page makes Chromium fetch, its console, and its output.

    Chromium's record of the network also holds what it asks its makers for; that has no page for its initiator. No
    name is resolved, so nothing leaves this machine.
    """
    log = folder / "net.json"
    command = [CHROMIUM, *QUIET, f"--user-data-dir={folder / 'profile'}", f"--log-net-log={log}", *options, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    events = [event.get("params", {}) for event in json.loads(log.read_text(encoding="utf-8"))["events"]]
    by_pages = [p["url"] for p in events if p.get("initiator", "not an origin") != "not an origin" and "url" in p]
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return {u for u in by_pages if not u.startswith(("file:", "data:"))}, "\n".join(console), done.stdout


browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")


@browser
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_it_without_fetching_or_complaining(page, tmp_path, width):
    "Chromium has no window below 500 pixels, so for a phone's width the page is in a frame."
    url, shot = page.as_uri(), tmp_path / "page.png"
    if width < 500:
        frame = tmp_path / "phone.html"
        frame.write_text(f'<body style="margin:0"><iframe width={width} height=4000 src="{url}"></iframe>')
        url = frame.as_uri()
    fetched, console, _ = browse(url, tmp_path, f"--window-size={max(width, 500)},4000", f"--screenshot={shot}")
    assert not fetched and not console
    with Image.open(shot) as picture:
        assert picture.width >= width and len(picture.convert("RGB").resize((97, 797)).getcolors(80_000)) > 50


@browser
def test_a_page_that_fetches_or_complains_would_be_seen(tmp_path):
    page = tmp_path / "bad.html"
    page.write_text("<img src='http://example.invalid/x.png'><script>console.log('hello'); nonsense()</script>")
    fetched, console, _ = browse(page.as_uri(), tmp_path, f"--screenshot={tmp_path / 's.png'}")
    assert fetched == {"http://example.invalid/x.png"} and "nonsense" in console


@browser
def test_a_browser_finds_every_figure_in_its_place_and_prints(page, tmp_path):
    pdf = tmp_path / "page.pdf"
    _, _, dom = browse(page.as_uri(), tmp_path, "--dump-dom", f"--print-to-pdf={pdf}")
    for name in ("final", "budgets", "accuracy", "loss", "lr", "lr-find", "tuning"):
        figure = dom[dom.index(f'<figure id="figure-{name}"') :]
        assert "<path" in figure[: figure.index("</figure>")], name
    assert pdf.read_bytes()[:5] == b"%PDF-" and pdf.stat().st_size > 20_000
