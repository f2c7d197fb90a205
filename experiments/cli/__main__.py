"""`python -m experiments.cli` is `ottt`."""

import sys

from experiments.cli import main

sys.exit(main())
