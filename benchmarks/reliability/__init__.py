"""Random inputs, faults and interruptions, damaged files, and concurrent use.

The benchmarks that import helpers of the tests find them in ``tests/helpers``.
"""

import sys

from benchmarks.common.paths import ROOT

sys.path.insert(0, str(ROOT / "tests" / "helpers"))
