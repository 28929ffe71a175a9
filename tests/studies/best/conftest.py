"""What the tests of `lrlab best` share."""

import pytest


@pytest.fixture(autouse=True)
def figure_of_the_first_answer_alone(request):
    "Figures are drawn for the tests of `answered`, and for no others."
    if "answered" not in request.fixturenames:
        request.getfixturevalue("undrawn")
