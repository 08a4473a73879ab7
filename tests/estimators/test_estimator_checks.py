"""The checks of scikit-learn for estimators, for several configurations."""

import os
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_estimator,
    check_global_output_transform_pandas,
    check_global_set_output_transform_polars,
    check_param_validation,
    check_set_output_transform,
    check_set_output_transform_pandas,
    check_set_output_transform_polars,
    check_transformer_get_feature_names_out,
    check_transformer_get_feature_names_out_pandas,
    parametrize_with_checks,
)

from sk_ssvae import OpinionPoolClassifier, SSVAEClassifier, VariationalAutoencoder
from sk_ssvae.models import ADGM, M1M2, SDGM


def quick(**params):
    return SSVAEClassifier(
        latent_size=2, hidden_sizes=(32,), max_epochs=5, learning_rate=0.01, **params
    )


CONFIGURATIONS = [
    quick(teacher=None),
    quick(alpha=0.5, batch_size=32, class_prior="empirical"),
    quick(teacher=LabelSpreading(kernel="knn", max_iter=500), batch_size=64),
    quick(
        model=SDGM(inner_size=4), teacher=None, classifier_module=torch.nn.Linear
    ).set_params(max_epochs=10),
    VariationalAutoencoder(latent_size=2, hidden_sizes=(32,), max_epochs=5),
    OpinionPoolClassifier(
        views=("columns", "pca-4", "logistic", "whitened", ("own", GaussianNB()))
    ),
]

FURTHER_CONFIGURATIONS = [
    quick(likelihood="gaussian").set_params(hidden_sizes=(), max_epochs=40),
    quick(
        model=M1M2(inner_size=6, pretrain_epochs=5, finetune_epochs=40), teacher=None
    ),
    quick(teacher=SelfTrainingClassifier(LogisticRegression()), alpha=0.1),
    quick(model=ADGM(inner_size=4), teacher=None),
]
"""They run the same code of the estimator, or train longer."""


def expected_failures(estimator):
    """Return the checks that may fail, with their reasons."""
    if isinstance(estimator, VariationalAutoencoder):
        return {}
    return {
        "check_classifiers_classes": (
            "uses the labels [-1, 1], and -1 marks unlabelled rows; scikit-learn "
            "exempts its own semi-supervised classes from this half by name"
        ),
        "check_sample_weight_equivalence_on_dense_data": (
            "training is stochastic, as for SGDClassifier"
        ),
        "check_sample_weight_equivalence_on_sparse_data": (
            "training is stochastic, as for SGDClassifier"
        ),
    }


# The checks set random_state themselves. The check of the array API needs an
# environment variable, and has a test of its own below.
ignore_expected_warnings = pytest.mark.filterwarnings(
    "ignore:Can't check array API:sklearn.exceptions.SkipTestWarning",
    "ignore:y contains no unlabeled samples:UserWarning",
    "ignore:max_iter=500 was reached:sklearn.exceptions.ConvergenceWarning",
)


@ignore_expected_warnings
@parametrize_with_checks(CONFIGURATIONS, expected_failed_checks=expected_failures)
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.slow
@ignore_expected_warnings
@parametrize_with_checks(
    FURTHER_CONFIGURATIONS, expected_failed_checks=expected_failures
)
def test_checks_of_scikit_learn_for_further_configurations(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.parametrize("estimator", [quick(), OpinionPoolClassifier()])
@pytest.mark.filterwarnings(
    "ignore:Can't check array API:sklearn.exceptions.SkipTestWarning",
)
def test_checks_of_scikit_learn_with_all_views_of_the_pool(estimator):
    results = check_estimator(
        estimator, expected_failed_checks=expected_failures(estimator), on_skip=None
    )
    failed = {r["check_name"] for r in results if r["status"] == "xfail"}
    assert failed <= set(expected_failures(estimator))
    assert len(results) > 50


# The checks of set_output fit on frames and transform arrays.
@pytest.mark.filterwarnings(
    "ignore:X (has|does not have valid) feature names:UserWarning"
)
@pytest.mark.parametrize(
    "check",
    [
        check_param_validation,
        check_set_output_transform,
        check_set_output_transform_pandas,
        check_set_output_transform_polars,
        check_global_output_transform_pandas,
        check_global_set_output_transform_polars,
        check_transformer_get_feature_names_out,
        check_transformer_get_feature_names_out_pandas,
        check_dataframe_column_names_consistency,
    ],
)
@pytest.mark.parametrize("estimator", [quick(), CONFIGURATIONS[-2]])
def test_checks_that_check_estimator_does_not_run(check, estimator):
    check(type(estimator).__name__, estimator)


def test_the_array_api_check():
    """It needs a new process: SCIPY_ARRAY_API is read when scipy is imported."""
    code = """
        import torch
        from sklearn.utils.estimator_checks import check_array_api_input
        from sk_ssvae import SSVAEClassifier

        torch.set_num_threads(1)
        check_array_api_input(
            "SSVAEClassifier",
            SSVAEClassifier(max_epochs=2, hidden_sizes=(8,)),
            array_namespace="numpy",
            expect_only_array_outputs=False,
        )
        print("checked")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=os.environ | {"SCIPY_ARRAY_API": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "checked\n", done.stderr


@pytest.mark.parametrize("dtype", [object, str])
def test_string_labels(dtype):
    """The half of `check_classifiers_classes` that does not use -1."""
    X, codes = load_iris(return_X_y=True)
    names = np.array(["ant", "bee", "cat"], dtype=dtype)
    y = names[codes]
    clf = quick(random_state=0).set_params(max_epochs=40).fit(X, y)
    assert clf.classes_.tolist() == ["ant", "bee", "cat"]
    predicted = clf.predict(X)
    assert set(predicted) == set(names)
    assert (predicted == y).mean() > 0.83
    assert clf.score(X, y) == (predicted == y).mean()
    plain = quick(random_state=0).set_params(max_epochs=40).fit(X, codes)
    np.testing.assert_array_equal(plain.predict_proba(X), clf.predict_proba(X))


def failed_checks(estimator):
    """Return the names of the checks that an estimator fails."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(estimator, on_fail=None)
    return {result["check_name"] for result in results if result["status"] == "failed"}


def test_checks_of_a_pipeline_with_the_bernoulli_likelihood():
    """The likelihood needs values in [0, 1], so it is checked after a scaler."""
    scaler = MinMaxScaler(clip=True)
    bernoulli = quick(likelihood="bernoulli", random_state=0, teacher=None)
    ours = failed_checks(make_pipeline(scaler, bernoulli))
    any_pipeline = failed_checks(make_pipeline(scaler, LogisticRegression()))
    # The tags of a pipeline do not say that its steps allow NaN.
    expected = {"check_classifiers_classes", "check_estimators_nan_inf"}
    assert ours - any_pipeline == expected
