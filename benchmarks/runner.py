#!/usr/bin/env python3
"""Front of the benchmarks: ``python3 benchmarks/runner.py --help``."""

from __future__ import annotations

import sys
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036 - said clearly, before an import fails
    sys.exit("runner.py: Python 3.11 or newer is needed")

sys.path.insert(0, str(Path(__file__).resolve().parent))

from fabench.cli import main

if __name__ == "__main__":
    sys.exit(main())
