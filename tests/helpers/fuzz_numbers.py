"""Numeric arrays for the fuzzer: values, missing values, dtypes and layouts."""

import tempfile

import numpy as np

N_CLASSES = 3


def _random_mask(x, rng):
    return rng.random_sample(x.shape) < 0.2


def _mask_at(x, row, column):
    """Return a mask of one row and one column; None selects all."""
    rows, columns = np.ogrid[: x.shape[0], : x.shape[1]]
    return ((rows == row) | (row is None)) & ((columns == column) | (column is None))


VALUES = {
    "normal": lambda x, rng: x,
    "constant": lambda x, rng: np.full_like(x, 3.0),
    "one_constant": lambda x, rng: np.where(np.arange(x.shape[1]) == 0, 7.0, x),
    "huge": lambda x, rng: x * 1e30,
    "largest": lambda x, rng: np.sign(x) * np.finfo(float).max,
    "tiny": lambda x, rng: x * 1e-30,
    "denormal": lambda x, rng: np.round(4 * x) * 5e-324,
    "spread": lambda x, rng: x * 10.0 ** np.linspace(-30, 30, x.shape[1]),
    "wide_spread": lambda x, rng: x * 10.0 ** np.linspace(-300, 300, x.shape[1]),
    "negative_zero": lambda x, rng: np.where(x > 0, x, -0.0),
    "binary": lambda x, rng: (x > 0.0) * 1.0,
    "unit": lambda x, rng: rng.random_sample(x.shape),
    "counts": lambda x, rng: rng.poisson(2.0, x.shape) * 1.0,
    "large_counts": lambda x, rng: rng.poisson(1e8, x.shape) * 1.0,
    "whole": lambda x, rng: np.round(3 * x),
    "offset": lambda x, rng: 1e8 + x,
    "far_offset": lambda x, rng: 1e17 + np.round(100 * x),
    "cauchy": lambda x, rng: rng.standard_cauchy(x.shape) ** 3,
    "one_far": lambda x, rng: np.where(
        np.arange(x.size).reshape(x.shape) == 0, 1e38, x
    ),
    "one_row_differs": lambda x, rng: np.where(np.arange(len(x))[:, None] == 0, x, 1.0),
    "rounding": lambda x, rng: 1.0 + np.finfo(float).eps * np.round(9 * x),
}


MISSING = {
    "none": lambda x, rng: x,
    "some": lambda x, rng: np.where(_random_mask(x, rng), np.nan, x),
    "one": lambda x, rng: np.where(_mask_at(x, 1, 0), np.nan, x),
    "row": lambda x, rng: np.where(_mask_at(x, 1, None), np.nan, x),
    "column": lambda x, rng: np.where(_mask_at(x, None, 0), np.nan, x),
    "all": lambda x, rng: np.full_like(x, np.nan),
    "all_but_one_row": lambda x, rng: np.where(_mask_at(x, 1, None), x, np.nan),
    "infinite": lambda x, rng: np.where(_mask_at(x, 1, 0), np.inf, x),
    "both_infinite": lambda x, rng: np.where(
        _random_mask(x, rng), np.inf * np.sign(x), x
    ),
}


def make_numbers(n_rows, n_columns, values, missing, rng):
    """Return rows in double precision whose values depend on their classes."""
    classes = np.arange(n_rows)[:, None] % N_CLASSES
    x = rng.standard_normal((n_rows, n_columns)) + 2.0 * classes
    with np.errstate(all="ignore"):
        return MISSING[missing](VALUES[values](x, rng), rng)


def cast(x, dtype):
    """Convert numbers to a dtype, clipped to its range."""
    dtype = np.dtype(dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        x = np.clip(np.nan_to_num(np.round(x)), float(limits.min), float(limits.max))
        if dtype.itemsize == 8:  # whose largest value is not a float
            x = np.clip(x, -(2.0**62), 2.0**62)
    with np.errstate(all="ignore"):
        return x.astype(dtype)


def _readonly(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def _strided(x):
    wide = np.zeros((x.shape[0] * 2, x.shape[1] * 3), x.dtype)
    wide[::2, ::3] = x
    return wide[::2, ::3]


def _memmap(x):
    if x.size == 0:
        return x
    with tempfile.TemporaryFile() as file:  # is deleted with the rows
        on_disk = np.memmap(file, x.dtype, "w+", shape=x.shape)
    on_disk[:] = x
    return on_disk


def _unaligned(x):
    if x.dtype.hasobject or x.size == 0:
        return x
    return np.frombuffer(b"\0" + x.tobytes(), x.dtype, offset=1).reshape(x.shape)


LAYOUTS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "reversed": lambda x: np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1],
    "strided": _strided,
    "readonly": _readonly,
    "readonly_strided": lambda x: _readonly(_strided(x)),
    "big_endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "memmap": _memmap,
    "unaligned": _unaligned,
}

_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
DTYPES = ("float64", "float32", "float16", "longdouble", "bool", "object", *_INTEGERS)
