"""Attributes of estimators that are not fitted."""

import pytest
from sklearn.exceptions import NotFittedError

from sk_ssvae import SSVAEClassifier, VariationalAutoencoder


@pytest.mark.parametrize("estimator", [SSVAEClassifier(), VariationalAutoencoder()])
@pytest.mark.parametrize("name", ["history_", "n_iter_", "module_", "device_"])
def test_the_error_says_that_the_estimator_is_not_fitted(estimator, name):
    assert not hasattr(estimator, name)
    with pytest.raises(NotFittedError) as error:
        getattr(estimator, name)
    assert str(error.value) == (
        f"This {type(estimator).__name__} instance is not fitted yet. Call 'fit' with "
        "appropriate arguments before using this estimator."
    )
