"""The fuzzer's rules hold for a small number of cases: see `fuzzing`.

``benchmarks/`` has a command that checks thousands.
"""

import pytest
from fuzz_labels import LABELS, WEIGHTS
from fuzz_numbers import DTYPES, MISSING, VALUES
from fuzz_rows import FORMS
from fuzzing import Case, cases, check
from hypothesis import HealthCheck, given, settings

UNUSUAL_IN_ONE_ATTRIBUTE = [
    *(Case(form=name) for name in (*DTYPES, *FORMS)),
    *(Case(values=name) for name in VALUES),
    *(Case(missing=name) for name in MISSING),
    *(Case(labels=name) for name in LABELS),
    *(Case(weight=name) for name in WEIGHTS),
]


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(cases())
def test_random_cases_return_valid_results_or_raise_clear_errors(case):
    check(case)


@pytest.mark.slow
@pytest.mark.parametrize("case", UNUSUAL_IN_ONE_ATTRIBUTE, ids=repr)
def test_cases_that_are_unusual_in_one_attribute(case):
    check(case)
