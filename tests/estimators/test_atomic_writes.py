"""A path holds the old file or the complete new one, whatever happens to a writer."""

import errno
import os
import stat
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from saved_estimators import FEW, IRIS, assert_identical, make_estimator

import sk_ssvae
from sk_ssvae.utils import files
from sk_ssvae.utils.files import read_file, write_file


@pytest.fixture(scope="module")
def clf():
    return make_estimator().fit(IRIS, FEW)


@pytest.mark.parametrize("step", ["os.fsync", "os.replace", "builtins.open"])
def test_a_failed_write_leaves_the_old_file(step, clf, tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"the old file")

    def fail(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(step, fail)
        with pytest.raises(OSError, match="No space left"):
            clf.save(path)
    assert path.read_bytes() == b"the old file"
    assert list(tmp_path.iterdir()) == [path]
    clf.save(path)
    assert list(tmp_path.iterdir()) == [path]
    assert_identical(sk_ssvae.load(path).predict(IRIS), clf.predict(IRIS))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file locks")
def test_temporary_files_of_killed_writers_are_removed(clf, tmp_path):
    """Those of running writers, and files of other names, are kept."""
    path = tmp_path / "a.b"
    abandoned = tmp_path / ".a.b.0123abcd.partial"
    locked = tmp_path / ".a.b.89abcdef.partial"
    others = [
        tmp_path / name
        for name in (
            ".a.0123abcd.partial",
            ".a.b.c.0123abcd.partial",
            ".axb.0123abcd.partial",
            ".a.b.0123abcd.partial.txt",
            ".a.b.report.partial",
        )
    ]
    for file in (abandoned, locked, *others):
        file.write_bytes(b"an incomplete file")
    with locked.open("ab") as file:
        assert files._lock(file)
        clf.save(path)
        assert set(tmp_path.iterdir()) == {path, locked, *others}
    clf.save(path)
    assert set(tmp_path.iterdir()) == {path, *others}


def test_folders_that_cannot_be_listed_or_flushed(clf, tmp_path, monkeypatch):
    def deny(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    path = tmp_path / "file"
    monkeypatch.setattr(os, "listdir", deny)
    monkeypatch.setattr(os, "open", deny)
    clf.save(path)
    monkeypatch.undo()
    assert_identical(sk_ssvae.load(path).predict(IRIS), clf.predict(IRIS))


def test_concurrent_writers_respect_the_umask_and_each_other(tmp_path, monkeypatch):
    """No writer removes the temporary file of another one that is still running."""
    umask = os.umask

    def slow_umask(mask):  # so that threads switch between setting and restoring it
        time.sleep(1e-3)
        return umask(mask)

    monkeypatch.setattr(os, "umask", slow_umask)
    header, arrays = {"a": 1}, {"x": np.arange(1000.0)}
    path = tmp_path / "file"
    before = os.umask(0o027)
    try:
        with ThreadPoolExecutor(8) as pool:
            jobs = [pool.submit(write_file, path, header, arrays) for _ in range(64)]
        for job in jobs:
            job.result()
        after = os.umask(0o027)
    finally:
        os.umask(before)
    assert after == 0o027
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [path]
    assert read_file(path)[0] == header


def test_a_missing_folder_is_an_error(clf, tmp_path):
    with pytest.raises(FileNotFoundError):
        clf.save(tmp_path / "missing" / "file")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_only_regular_files_are_replaced(clf, tmp_path):
    real, link, pipe = tmp_path / "real", tmp_path / "link", tmp_path / "pipe"
    real.write_bytes(b"the old file")
    link.symlink_to(real)
    clf.save(link)
    assert link.is_symlink()
    assert_identical(sk_ssvae.load(real).predict(IRIS), clf.predict(IRIS))
    os.mkfifo(pipe)
    with pytest.raises(ValueError) as error:
        clf.save(pipe)
    assert str(error.value) == (
        f"{pipe} is a device, a pipe or a socket, not a regular file. Choose another "
        "path."
    )
    assert stat.S_ISFIFO(os.stat(pipe).st_mode)
    with pytest.raises(IsADirectoryError, match="pass the path of a file in it"):
        clf.save(tmp_path)
    with pytest.raises(ValueError, match=r"^'' is not a valid file name\.$"):
        clf.save("")
    assert {path.name for path in tmp_path.iterdir()} == {"real", "link", "pipe"}
