"""Likelihoods of a row: one module for each column type, and their product."""

from sk_ssvae.models.likelihoods.base import (
    LIKELIHOODS,
    Density,
    Likelihood,
    RowDistribution,
    has_gaps,
)
from sk_ssvae.models.likelihoods.bernoulli import Bernoulli, BernoulliVector
from sk_ssvae.models.likelihoods.categorical import Categorical, CategoricalVector
from sk_ssvae.models.likelihoods.counts import (
    NegativeBinomial,
    NegativeBinomialVector,
    Poisson,
    PoissonVector,
)
from sk_ssvae.models.likelihoods.logistic import (
    CensoredLogistic,
    CensoredLogisticVector,
)
from sk_ssvae.models.likelihoods.normal import (
    ColumnNormal,
    DiagonalNormal,
    Gaussian,
    MaskedGaussian,
)
from sk_ssvae.models.likelihoods.product import (
    Product,
    ProductRow,
    make_likelihood,
)

__all__ = [
    "LIKELIHOODS",
    "Bernoulli",
    "BernoulliVector",
    "Categorical",
    "CategoricalVector",
    "CensoredLogistic",
    "CensoredLogisticVector",
    "ColumnNormal",
    "Density",
    "DiagonalNormal",
    "Gaussian",
    "Likelihood",
    "MaskedGaussian",
    "NegativeBinomial",
    "NegativeBinomialVector",
    "Poisson",
    "PoissonVector",
    "Product",
    "ProductRow",
    "RowDistribution",
    "has_gaps",
    "make_likelihood",
]
