"""Densities of a row: each kind of column in a file, and their product."""

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
from sk_ssvae.models.likelihoods.normal import ColumnNormal, DiagonalNormal, Gaussian
from sk_ssvae.models.likelihoods.product import Product, ProductRow, likelihood_of

__all__ = [
    "LIKELIHOODS",
    "Bernoulli",
    "BernoulliVector",
    "Categorical",
    "CategoricalVector",
    "ColumnNormal",
    "Density",
    "DiagonalNormal",
    "Gaussian",
    "Likelihood",
    "NegativeBinomial",
    "NegativeBinomialVector",
    "Poisson",
    "PoissonVector",
    "Product",
    "ProductRow",
    "RowDistribution",
    "has_gaps",
    "likelihood_of",
]
