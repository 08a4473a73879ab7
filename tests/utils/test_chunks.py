"""Chunks of rows, and tensors on the memory of arrays."""

import numpy as np

from sk_ssvae.utils.chunks import iter_row_chunks, tensor_sharing_memory


def test_chunks_of_all_rows_are_views():
    X = np.arange(20.0).reshape(10, 2)
    ((rows, part),) = iter_row_chunks(X)
    assert np.shares_memory(part, X)
    assert X[rows].tolist() == part.tolist() == X.tolist()
    where = np.arange(10) % 3 == 0
    ((rows, part),) = iter_row_chunks(X, where)
    assert rows.tolist() == [0, 3, 6, 9]
    assert part.tolist() == X[where].tolist()
    assert list(iter_row_chunks(X, np.zeros(10, bool))) == []


def test_tensor_sharing_memory_copies_only_negative_strides():
    X = np.arange(12.0).reshape(4, 3)
    frozen = X.copy()
    frozen.flags.writeable = False
    for array in (X, frozen, X[1:], X[:, ::2], X.T):
        tensor = tensor_sharing_memory(array)
        assert tensor.tolist() == array.tolist()
        assert tensor.data_ptr() == array.ctypes.data
    assert not frozen.flags.writeable
    assert tensor_sharing_memory(X[::-1]).tolist() == X[::-1].tolist()
