"""Warnings of the package: where they point, and their record."""

import threading
import warnings

import pytest

from sk_ssvae.utils.warnings import recorded_warnings, warn_user


def warn(*texts, category=UserWarning):
    """Issue warnings in a record; return the record."""
    with recorded_warnings() as recorded:
        for text in texts:
            warn_user(text, category)
    return recorded


def test_warnings_are_issued_and_recorded_once_each():
    with pytest.warns(RuntimeWarning, match=r"^[ab]$") as issued:
        recorded = warn("a", "b", "a", category=RuntimeWarning)
    assert [str(w.message) for w in issued] == ["a", "b", "a"]
    assert {w.filename for w in issued} == {__file__}
    assert recorded == ["a", "b"]
    with pytest.warns(UserWarning, match=r"^c$"):
        warn_user("c")
    assert recorded == ["a", "b"]


@pytest.mark.filterwarnings("ignore:[abc]$:UserWarning")
def test_a_record_in_a_record_has_its_own_warnings():
    with recorded_warnings() as outer:
        warn_user("a")
        inner = warn("b")
        warn_user("c")
    assert (outer, inner) == (["a", "c"], ["b"])


def test_a_record_ends_with_an_error():
    with pytest.raises(KeyError), recorded_warnings() as recorded:
        raise KeyError
    with pytest.warns(UserWarning, match=r"^a$"):
        warn_user("a")
    assert recorded == []


def test_warnings_that_are_errors_are_recorded_too():
    with warnings.catch_warnings(), recorded_warnings() as recorded:
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match=r"^a$"):
            warn_user("a")
    assert recorded == ["a"]


@pytest.mark.filterwarnings("ignore:[ab]$:UserWarning")
def test_threads_have_records_of_their_own():
    together, records = threading.Barrier(2, timeout=10), {}

    def record(text):
        with recorded_warnings() as recorded:
            together.wait()
            warn_user(text)
            together.wait()
        records[text] = recorded

    threads = [threading.Thread(target=record, args=(text,)) for text in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert records == {"a": ["a"], "b": ["b"]}
