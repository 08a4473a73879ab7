"""skops files: the only types to trust are the estimators and the user's own."""

import copy
import pickle
import re

import numpy as np
import pytest
from saved_estimators import (
    CASES,
    FEW,
    IRIS,
    Network,
    assert_identical,
    make_estimator,
    results,
)
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelSpreading

from sk_ssvae import SSVAEClassifier

skops = pytest.importorskip("skops.io")

CLASSIFIER = "sk_ssvae.estimators.classifier.SSVAEClassifier"


# The pool is not part of the fitted state, and all models with an inner layer are
# saved by the same code.
@pytest.mark.parametrize(
    "name", [n for n in CASES if n not in ("pool", "sdgm", "adgm")]
)
def test_loaded_estimators_are_bit_identical_and_continue_training(name):
    estimator, X, y = CASES[name]()
    estimator.fit(X, y)
    kind = f"{type(estimator).__module__}.{type(estimator).__name__}"
    data = skops.dumps(estimator)
    assert skops.get_untrusted_types(data=data) == [kind]
    loaded = skops.loads(data, trusted=[kind])
    assert repr(loaded.get_params()) == repr(estimator.get_params())
    assert_identical(results(estimator, X), results(loaded, X))
    unpickled = pickle.loads(pickle.dumps(loaded))
    if y is not None:
        for each in (estimator, loaded, unpickled):
            each.partial_fit(X, y)
    assert_identical(results(estimator, X), results(loaded, X))
    assert_identical(results(estimator, X), results(unpickled, X))


def test_user_supplied_types_have_to_be_trusted():
    clf = make_estimator(
        teacher=LabelSpreading(gamma=3.0),
        classifier_module=Network,
        classifier_module__width=3,
    ).fit(IRIS, FEW)
    data = skops.dumps(clf)
    network = f"{Network.__module__}.Network"
    assert skops.get_untrusted_types(data=data) == sorted([CLASSIFIER, network])
    loaded = skops.loads(data, trusted=[CLASSIFIER, network])
    assert loaded.teacher.gamma == 3.0
    assert loaded.classifier_module is Network
    assert_identical(results(clf, IRIS), results(loaded, IRIS))


def test_pipelines_and_unfitted_estimators():
    pipeline = make_pipeline(StandardScaler(), make_estimator()).fit(IRIS, FEW)
    loaded = skops.loads(skops.dumps(pipeline), trusted=[CLASSIFIER])
    assert np.array_equal(pipeline.predict_proba(IRIS), loaded.predict_proba(IRIS))
    unfitted = skops.loads(skops.dumps(make_estimator(alpha=7.0)), trusted=[CLASSIFIER])
    assert not hasattr(unfitted, "net_")
    assert unfitted.get_params() == make_estimator(alpha=7.0).get_params()


def test_a_device_that_is_not_available_is_replaced_by_the_cpu_with_a_warning():
    clf = make_estimator(device="cpu").fit(IRIS, FEW)
    state = clf.__getstate__()
    state["fitted"] = state["fitted"].replace('"device": "cpu"', '"device": "cuda:99"')
    loaded = SSVAEClassifier.__new__(SSVAEClassifier)
    message = (
        "The estimator was saved with device='cuda:99', which is not available here. "
        "It is on the CPU now, with device='cpu'."
    )
    with pytest.warns(UserWarning, match=f"^{re.escape(message)}$"):
        loaded.__setstate__(state)
    assert loaded.device == "cpu"
    assert_identical(results(clf, IRIS), results(loaded, IRIS))


def test_copies_and_pickles_keep_additional_attributes():
    """They do not go through the plain state, which has no callbacks or hooks."""
    clf = make_estimator().fit(IRIS, FEW)
    clf.net_.note = clf.note = "kept"
    for each in (copy.copy(clf), copy.deepcopy(clf), pickle.loads(pickle.dumps(clf))):
        assert each.note == each.net_.note == "kept"
    assert copy.copy(clf).net_ is clf.net_
    assert clone(clf).get_params() == clf.get_params()
