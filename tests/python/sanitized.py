"""Whether the suite runs under AddressSanitizer, where everything takes several times as long.

For tests that repeat something: fewer rounds there, never other assertions.
"""

from __future__ import annotations

import ctypes

SANITIZED = hasattr(ctypes.CDLL(None), "__asan_init")
