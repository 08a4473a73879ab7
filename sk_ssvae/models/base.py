"""What a model is: a joint density of rows and classes, with inference networks."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from sk_ssvae.data.layout import Layout, as_layout
from sk_ssvae.models.input_encoding import InputEncoder
from sk_ssvae.models.likelihoods import (
    DiagonalNormal,
    Likelihood,
    RowDistribution,
    likelihood_of,
)
from sk_ssvae.utils.random import Stream, stream_generator

__all__ = ["N_DRAWS", "Draw", "VAEModule", "fixed_draws", "normal"]

MAX_LOG_SCALE = 5.0
"""Bounds the logarithm of a posterior's scale smoothly: between 0.0067 and 148."""

N_DRAWS = 16
"""Draws of an inner variable that answers are averaged over, always the same ones."""


def normal(outputs: Tensor) -> DiagonalNormal:
    """Make of a network's outputs (..., 2 * size) a normal over (..., size)."""
    mean, raw = outputs.chunk(2, -1)
    return DiagonalNormal(mean, MAX_LOG_SCALE * torch.tanh(raw / MAX_LOG_SCALE))


def fixed_draws(size: int, seed: int) -> Tensor:
    """Return standard normal draws (N_DRAWS, size), each beside its negative.

    The mean of what is linear in them is exact.
    """
    generator = stream_generator(seed, Stream.INNER)
    half = torch.randn(N_DRAWS // 2, size, generator=generator, dtype=torch.float32)
    return torch.cat([half, -half])


class Draw:
    """Rows with a draw of a variable that lies between them and the class.

    Indexed as a tensor is along its leading axes.

    Attributes
    ----------
    x : Tensor of shape (..., n_features)
        Rows.
    q : DiagonalNormal over (..., inner_size)
        Where the variable was drawn from.
    inner : Tensor of shape (..., inner_size)
        The draws.
    """

    def __init__(self, x: Tensor, q: DiagonalNormal, inner: Tensor) -> None:
        self.x = x
        self.q = q
        self.inner = inner

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: Any) -> Self:
        return type(self)(self.x[index], self.q[index], self.inner[index])


class VAEModule(nn.Module, ABC):
    r"""A joint density p(x, y), latent variables, and the networks that infer them.

    The loss, the training loop and the estimators use this interface only. A
    `sk_ssvae.models.ModelSpec` makes a subclass available as
    ``SSVAEClassifier(model=...)``; its constructor takes the keyword arguments that are
    listed there.

    What teaches a model is a bound :math:`L(x, y) \le \log p(x, y)` for known classes,
    and :math:`\sum_y q(y|x) [L(x, y) - \log q(y|x)] \le \log p(x)` for hidden ones. A
    model may first draw a variable that q(y | x) and all L(x, y) share (`sample_auxiliary`).

    Parameters
    ----------
    class_prior : sequence of float of length n_classes
        p(y); positive, with sum 1.
    latent_size : int
        Number of dimensions of z, the latent variable that `transform` shows.

    Attributes
    ----------
    n_noise : int
        Standard normal numbers that a row takes in training.
    likelihood : Likelihood
        Makes p(x | ...) of a decoder's outputs.
    inputs : Inputs
        Makes of x, which may have gaps, what other networks take.
    classes : Tensor of shape (n_classes, n_classes)
        Unit vectors.
    log_prior : Tensor of shape (n_classes,)
        log p(y).
    unsupervised : bool
        Whether only `row_bound` teaches at present.
    warms_up : bool
        Whether the weight of the KL divergence then rises from zero first.
    mixed : bool
        Whether the networks run under autocast to bfloat16, as they may in training.
    """

    mixed = False
    unsupervised = False
    warms_up = False
    n_noise: int
    likelihood: Likelihood
    inputs: InputEncoder
    classes: Tensor
    log_prior: Tensor

    def __init__(self, class_prior: Sequence[float], latent_size: int) -> None:
        super().__init__()
        self.latent_size = latent_size
        prior = torch.tensor(class_prior, dtype=torch.float64)
        self.register_buffer("log_prior", prior.log().float())
        self.register_buffer(
            "classes", torch.eye(len(class_prior), dtype=torch.float32)
        )

    def _take(self, likelihood: str | Layout, n_features: int) -> int:
        """Get ready for rows of some kind; return the number of network inputs."""
        layout = as_layout(likelihood, n_features)
        self.likelihood = likelihood_of(layout)
        self.inputs = InputEncoder(layout)
        return self.inputs.n_outputs

    def _run(self, network: nn.Module, *inputs: Any) -> Tensor:
        """Apply a network; what comes of it is in full precision again."""
        out: Tensor
        if self.mixed:
            # No cache of weights in bfloat16: it would outlive a step where the call
            # is inside another autocast.
            with torch.autocast(
                self.classes.device.type, dtype=torch.bfloat16, cache_enabled=False
            ):
                out = network(*inputs).float()
        else:
            out = network(*inputs)
        return out

    # How it is trained.

    def start_stage(self, stage: str, rows: Any = None) -> None:
        """Get ready for a stage; "all" trains everything, and is for chunks too.

        Parameters
        ----------
        stage : str
            A name in `sk_ssvae.models.ModelSpec.stages`, or "all".
        rows : sk_ssvae.training.batches.Rows, default=None
            What it will be trained on.
        """

    # What the loss needs. x is (n_rows, n_features), noise (n_rows, n_noise).

    def sample_auxiliary(self, x: Tensor, noise: Tensor) -> Any:
        """Rows with what is drawn for them before the class, indexed as rows are."""
        return x

    @abstractmethod
    def log_q_y(self, sampled: Any) -> Tensor:
        """Log q(y | what is sampled), normalised, of shape (n_rows, n_classes)."""

    @abstractmethod
    def labelled_bound(
        self,
        sampled: Any,
        y: Tensor | None,
        log_prior: Tensor,
        noise: Tensor,
        density: Any = None,
    ) -> Tensor:
        """Estimate L(x, y) without bias, from one draw for each pair of x and y.

        Parameters
        ----------
        sampled
            What `sample_auxiliary` gave, or parts of it; leading axes broadcast.
        y : Tensor of float of shape (..., n_classes) or int64 of shape (...)
            Classes, one-hot or as codes; leading axes broadcast against those of the
            rows. None is every class, along the last of them.
        log_prior : Tensor of shape (...)
            log p(y) of those classes.
        noise : Tensor of shape (..., n_noise)
            Standard normal draws, those that `sample_auxiliary` has had included.
        density : default=None
            What `density` gave, if it is needed more than once.

        Returns
        -------
        bound : Tensor of shape (...)
            In nats.
        """

    def density(self) -> Any:
        """Work out what several calls of `labelled_bound` in a step have in common."""
        return None

    def class_bounds(
        self,
        sampled: Any,
        noise: Tensor,
        codes: Tensor | None = None,
        density: Any = None,
    ) -> Tensor:
        """L(x, y) for every class y, or for some, in one pass.

        Parameters
        ----------
        sampled
            What `sample_auxiliary` gave for n_rows rows.
        noise : Tensor of shape (n_rows, n_noise)
            One draw a row, shared by its classes: each term stays unbiased, and what
            the classes have in common cancels from their differences.
        codes : Tensor of int64 of shape (n_rows, n_chosen), default=None
            The classes to take for each row; all by default.
        density : default=None
            As for `labelled_bound`.

        Returns
        -------
        bounds : Tensor of shape (n_rows, n_classes) or (n_rows, n_chosen)
        """
        log_prior = self.log_prior if codes is None else self.log_prior.take(codes)
        return self.labelled_bound(
            sampled[:, None], codes, log_prior, noise[:, None], density
        )

    def row_terms(self, sampled: Any, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is minus what makes a bound of log p(x) while `unsupervised`.

        Returns
        -------
        log_likelihood, kl : Tensor of shape (n_rows,)
            The bound is their difference.
        """
        raise NotImplementedError(f"{type(self).__name__} learns no rows alone.")

    def row_bound(self, sampled: Any, noise: Tensor) -> Tensor:
        """Bound of log p(x) while `unsupervised`, of shape (n_rows,)."""
        log_likelihood, kl = self.row_terms(sampled, noise)
        return log_likelihood - kl

    # What a trained model answers.

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Log q(y | x), normalised, of shape (n_rows, n_classes)."""

    @abstractmethod
    def latent_means(self, x: Tensor) -> Tensor:
        """Mean of z under q(y, z | x), of shape (n_rows, latent_size)."""

    @abstractmethod
    def decoded_means(self, z: Tensor, weights: Tensor) -> Tensor:
        """Mean of x given z, classes having weights; of shape (n_rows, n_means).

        Parameters
        ----------
        z : Tensor of shape (n_rows, latent_size)
            Latent points.
        weights : Tensor of shape (n_rows, n_classes)
            Weight of each class for each row; rows sum to 1.
        """

    @abstractmethod
    def draw_rows(self, z: Tensor, codes: Tensor, generator: torch.Generator) -> Tensor:
        """Draw from p(x | y, z); of shape (n_rows, n_features).

        Parameters
        ----------
        z : Tensor of shape (n_rows, latent_size)
            Latent points.
        codes : Tensor of int64 of shape (n_rows,)
            Classes.
        generator : torch.Generator
            Source of the draws, on the model's device.
        """

    @abstractmethod
    def importance(self, x: Tensor, noise: Tensor) -> tuple[Tensor, RowDistribution]:
        """Log of p(x, latents | y) / q(latents | x, y) at draws from q.

        Parameters
        ----------
        x : Tensor of shape (n_rows, n_features)
            Rows. Cells that are NaN do not count.
        noise : Tensor of shape (n_draws, n_noise)
            Standard normal draws, the same for all rows.

        Returns
        -------
        log_weights : Tensor of float64 of shape (n_rows, n_classes, n_draws)
            In nats; float32 on devices without float64.
        p_x : RowDistribution
            p(x | latents, y) at the draws; its leading axes broadcast against those.
        """
