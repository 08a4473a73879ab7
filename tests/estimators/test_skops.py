"""skops: files whose only types to trust are this package's."""

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


@pytest.mark.parametrize("name", CASES)
def test_answers_to_the_bit(name):
    estimator, X, y = CASES[name]()
    estimator.fit(X, y)
    kind = f"{type(estimator).__module__}.{type(estimator).__name__}"
    data = skops.dumps(estimator)
    assert skops.get_untrusted_types(data=data) == [kind]
    loaded = skops.loads(data, trusted=[kind])
    assert repr(loaded.get_params()) == repr(estimator.get_params())
    assert_identical(results(estimator, X), results(loaded, X))
    again = pickle.loads(pickle.dumps(loaded))
    if y is not None:
        for one in (estimator, loaded, again):
            one.partial_fit(X, y)
    assert_identical(results(estimator, X), results(loaded, X))
    assert_identical(results(estimator, X), results(again, X))


def test_objects_of_the_user_have_to_be_trusted_too():
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


def test_in_a_pipeline_and_unfitted():
    whole = make_pipeline(StandardScaler(), make_estimator()).fit(IRIS, FEW)
    loaded = skops.loads(skops.dumps(whole), trusted=[CLASSIFIER])
    assert np.array_equal(whole.predict_proba(IRIS), loaded.predict_proba(IRIS))
    fresh = skops.loads(skops.dumps(make_estimator(alpha=7.0)), trusted=[CLASSIFIER])
    assert not hasattr(fresh, "net_")
    assert fresh.get_params() == make_estimator(alpha=7.0).get_params()


def test_a_device_that_is_not_here_any_more():
    clf = make_estimator(device="cpu").fit(IRIS, FEW)
    state = clf.__getstate__()
    state["fitted"] = state["fitted"].replace('"device": "cpu"', '"device": "cuda:99"')
    loaded = SSVAEClassifier.__new__(SSVAEClassifier)
    message = (
        "The estimator was saved with device='cuda:99', which is not here: it is on "
        "the CPU now, with device='cpu'."
    )
    with pytest.warns(UserWarning, match=f"^{re.escape(message)}$"):
        loaded.__setstate__(state)
    assert loaded.device == "cpu"
    assert_identical(results(clf, IRIS), results(loaded, IRIS))


def test_copies_hold_what_they_are_copies_of():
    """Not the plain state: a callback or a hook would be lost."""
    clf = make_estimator().fit(IRIS, FEW)
    clf.net_.mark = clf.mark = "here"
    for one in (copy.copy(clf), copy.deepcopy(clf), pickle.loads(pickle.dumps(clf))):
        assert one.mark == one.net_.mark == "here"
    assert copy.copy(clf).net_ is clf.net_
    assert clone(clf).get_params() == clf.get_params()
