"""Training on the devices of the machine."""

import numpy as np
import pytest
import torch
from sklearn.semi_supervised import LabelSpreading

from sk_ssvae.utils.devices import resolve_device


def test_names_of_devices():
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device(torch.device("cpu")) == torch.device("cpu")
    assert resolve_device("auto").type in {"cpu", "cuda", "mps"}
    for name in ("gpu", "cuda:99", "meta", "", "auto "):
        with pytest.raises(ValueError) as error:
            resolve_device(name)
        assert str(error.value).startswith(
            f"device={name!r} is not available on this machine. Use 'auto' or one of ["
        )
    assert "'cpu'" in str(error.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_is_not_available(quick, iris):
    X, y, _ = iris
    with pytest.raises(ValueError) as error:
        quick(device="cuda").fit(X, y)
    available = ["mps", "cpu"] if torch.backends.mps.is_available() else ["cpu"]
    assert str(error.value) == (
        "device='cuda' is not available on this machine. Use 'auto' or one of "
        f"{available}."
    )


@pytest.mark.parametrize(
    "device",
    [
        pytest.param(
            "cuda",
            marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA"),
        ),
        pytest.param(
            "mps",
            marks=pytest.mark.skipif(
                not torch.backends.mps.is_available(), reason="no MPS"
            ),
        ),
    ],
)
def test_training_on_an_accelerator(quick, iris, device):
    X, y, _ = iris
    teacher = LabelSpreading(kernel="knn", max_iter=500)
    clf = quick(device=device, teacher=teacher, max_epochs=40).fit(X, y)
    assert clf.device_.type == device
    again = quick(device=device, teacher=teacher, max_epochs=40).fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), again.predict_proba(X))
    cpu = quick(device="cpu", teacher=teacher, max_epochs=40).fit(X, y)
    assert (clf.predict(X) == cpu.predict(X)).mean() > 0.9
    assert np.isfinite(clf.score_samples(X)).all()
    assert clf.sample(3)[0].shape == (3, 4)
    assert clf.transform(X).shape == (150, 2)
