"""The fuzzer's law, for a few cases at every run: see fuzzing.py.

``python benchmarks/reliability.py fuzz`` looks at thousands.
"""

import pytest
from fuzz_labels import LABELS, WEIGHTS
from fuzz_numbers import DTYPES, HOLES, VALUES
from fuzz_rows import FORMS
from fuzzing import Case, cases, check
from hypothesis import HealthCheck, given, settings

ONE_ODD_THING = [
    *(Case(form=name) for name in (*DTYPES, *FORMS)),
    *(Case(values=name) for name in VALUES),
    *(Case(holes=name) for name in HOLES),
    *(Case(labels=name) for name in LABELS),
    *(Case(weight=name) for name in WEIGHTS),
]


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(cases())
def test_every_case_ends_in_output_or_in_a_refusal_that_says_why(case):
    check(case)


@pytest.mark.slow
@pytest.mark.parametrize("case", ONE_ODD_THING, ids=repr)
def test_one_odd_thing(case):
    check(case)
