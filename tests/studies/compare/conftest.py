"""What the tests of a comparison share."""

import pytest
from markupsafe import Markup

from lrlab.recipes.studies.compare import report_html
from lrlab.recipes.studies.compare.report import Report


@pytest.fixture
def undrawn(monkeypatch):
    "For tests of numbers and words: without figures, which are half of the processor time of a small comparison."
    monkeypatch.setattr(Report, "files", lambda report: {})
    monkeypatch.setattr(report_html, "svg", lambda picture: Markup())
