"""`python -m lrlab.recipes` is the `lrlab` command."""

import sys

from lrlab.recipes.cli import main

sys.exit(main())
