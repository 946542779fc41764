"""`python -m hebbax.cli` is `hebbax`."""

import sys

from hebbax.cli import main

sys.exit(main())
