"""Sorted rows are those of a mask, and permutations do not depend on their type."""

import numpy as np
import pytest
import torch

from sk_ssvae.data.arrow import ArrowContainer
from sk_ssvae.data.schema import Schema
from sk_ssvae.data.sorted_rows import SortedRows
from sk_ssvae.utils.random import shuffled_passes, smallest_integer_type

pa = pytest.importorskip("pyarrow")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.4, 0.6, 0.99, 1.0])
@pytest.mark.parametrize("n", [0, 1, 200, 1000])
def test_rows_and_counts_are_those_of_the_mask(n, share):
    mask = np.random.default_rng(n).random(n) < share
    rows, expected = SortedRows(mask), np.flatnonzero(mask)
    assert len(rows) == len(expected)
    positions = np.random.default_rng(1).permutation(len(rows)).reshape(-1, 1)
    found = rows[torch.from_numpy(positions)]
    assert found.dtype == torch.int64
    np.testing.assert_array_equal(found.numpy(), expected[positions])
    below = rows.count_below(torch.arange(n + 1))
    counts = np.append(0, np.cumsum(mask))
    np.testing.assert_array_equal(below.numpy(), counts)


@pytest.mark.parametrize("share", [0.001, 0.999])
def test_few_or_many_rows_take_little_memory(share):
    mask = np.random.default_rng(0).random(100_000) < share
    rows = SortedRows(mask)
    stored = [value for value in vars(rows).values() if isinstance(value, torch.Tensor)]
    assert sum(value.nbytes for value in stored) < 2000


@pytest.mark.parametrize(
    ("n", "dtype"),
    [
        (1, torch.uint8),
        (255, torch.uint8),
        (256, torch.int16),
        (32767, torch.int16),
        (32768, torch.int32),
        (2**31 - 1, torch.int32),
        (2**31, torch.int64),
    ],
)
def test_the_smallest_integer_type(n, dtype):
    assert smallest_integer_type(n) == dtype


@pytest.mark.parametrize("n", [1, 7, 255, 256, 40_000])
@pytest.mark.parametrize("passes", [0.5, 1, 2.3])
def test_permutations_are_those_of_randperm(n, passes):
    total = max(1, int(n * passes))
    found = shuffled_passes(n, total, torch.Generator().manual_seed(3))
    same = torch.Generator().manual_seed(3)
    expected = [torch.randperm(n, generator=same) for _ in range(-(-total // n))]
    np.testing.assert_array_equal(found.numpy(), torch.cat(expected)[:total].numpy())


@pytest.mark.parametrize("kinds", ["single", "double", "null", "bool", "int64"])
def test_columns_of_numbers_are_read_at_once_or_one_by_one(kinds, monkeypatch):
    rng = np.random.default_rng(0)
    columns = {
        "a": pa.chunked_array(
            [pa.array(rng.normal(size=k), pa.float32()) for k in (3, 4)]
        ),
        "b": pa.array(rng.integers(-9, 9, 7), pa.int16()),
    }
    columns |= {
        "single": {},
        "double": {"c": pa.array(rng.normal(size=7))},
        "null": {"c": pa.array([1, None, 3, 4, None, 6, 7], pa.int8())},
        "bool": {"c": pa.array([True, None, False] * 2 + [True])},
        "int64": {"c": pa.array([2**40, None, 1, 2, 3, 4, 5])},
    }[kinds]
    table = pa.table(columns)
    schema = Schema("pyarrow", table.column_names, [], (None,) * len(columns))
    at_once = ArrowContainer(table).number_columns() is not None
    assert at_once == (kinds in ("single", "double", "null"))
    found = schema.cells(ArrowContainer(table))
    monkeypatch.setattr(ArrowContainer, "number_columns", lambda self: None)
    expected = schema.cells(ArrowContainer(table))
    assert found.dtype == expected.dtype
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, expected)
