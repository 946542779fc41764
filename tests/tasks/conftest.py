"""Makes the writers of tiny files, which lie beside the tests of `hebbax.data`, importable."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
