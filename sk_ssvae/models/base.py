"""The interface of all models: a joint density with its inference networks."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sk_ssvae.data.layout import Layout, as_layout
from sk_ssvae.models.input_encoding import InputEncoder
from sk_ssvae.models.likelihoods import Likelihood, RowDistribution, make_likelihood

__all__ = ["VAEModule"]


class VAEModule(nn.Module, ABC):
    r"""A joint density p(x, y) with latent variables, and its inference networks.

    The loss, the training loop and the estimators use this interface only. A
    `sk_ssvae.models.ModelSpec` makes a subclass available as
    ``SSVAEClassifier(model=...)``; its constructor takes the keyword arguments that are
    listed there.

    Training maximises a bound :math:`L(x, y) \le \log p(x, y)` for labelled rows, and
    :math:`\sum_y q(y|x) [L(x, y) - \log q(y|x)] \le \log p(x)` for unlabelled ones. A
    model may first draw an auxiliary variable that q(y | x) and L(x, y) of all classes
    share (`sample_auxiliary`).

    Parameters
    ----------
    class_prior : sequence of float of length n_classes
        p(y); positive, with sum 1.
    latent_size : int
        Number of dimensions of z, the latent variable that `transform` returns.

    Attributes
    ----------
    n_noise : int
        Number of standard normal draws per row and training step.
    likelihood : Likelihood
        Maps decoder outputs to p(x | ...).
    inputs : InputEncoder
        Maps cells, which may be missing, to inputs of the networks.
    classes : Tensor of shape (n_classes, n_classes)
        One-hot classes.
    log_prior : Tensor of shape (n_classes,)
        log p(y).
    unsupervised : bool
        Whether the current training stage maximises `row_bound` alone.
    warms_up : bool
        Whether the weight of the KL divergence rises from zero at the start of an
        unsupervised stage.
    mixed : bool
        Whether the networks run under autocast to bfloat16, an option of training.
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

    def _set_layout(self, likelihood: str | Layout, n_features: int) -> int:
        """Make `likelihood` and `inputs`; return the number of network inputs."""
        layout = as_layout(likelihood, n_features)
        self.likelihood = make_likelihood(layout)
        self.inputs = InputEncoder(layout)
        return self.inputs.n_outputs

    def _run_network(self, network: nn.Module, *inputs: Any) -> Tensor:
        """Apply a network, under autocast if `mixed`; return float32 outputs then."""
        out: Tensor
        if self.mixed:
            # Without the cache of bfloat16 weights, which would outlive a step where
            # the caller uses autocast as well.
            with torch.autocast(
                self.classes.device.type, dtype=torch.bfloat16, cache_enabled=False
            ):
                out = network(*inputs).float()
        else:
            out = network(*inputs)
        return out

    def start_stage(self, stage: str, rows: Any = None) -> None:
        """Prepare a training stage.

        Parameters
        ----------
        stage : str
            A name in `sk_ssvae.models.ModelSpec.stages`. "all", which `partial_fit`
            uses too, trains all networks.
        rows : sk_ssvae.training.rows.Rows, default=None
            The training rows.
        """

    @property
    def n_fixed_draws(self) -> int:
        """Number of passes through the networks that a prediction of one row needs."""
        return 1

    # Training. x is (n_rows, n_features), noise (n_rows, n_noise).

    def sample_auxiliary(self, x: Tensor, noise: Tensor) -> Any:
        """Return rows with a draw of the auxiliary variable, indexed as rows are.

        The default, for models without one, returns the rows.
        """
        return x

    @abstractmethod
    def log_q_y(self, sampled: Any) -> Tensor:
        """Return log q(y | x), or given x and the draw: (n_rows, n_classes)."""

    @abstractmethod
    def labelled_bound(
        self,
        sampled: Any,
        y: Tensor | None,
        log_prior: Tensor,
        noise: Tensor,
        density: Any = None,
    ) -> Tensor:
        """Return an unbiased estimate of L(x, y), from one draw per pair of x and y.

        Parameters
        ----------
        sampled
            Result of `sample_auxiliary`, or part of it; leading axes broadcast.
        y : Tensor of float of shape (..., n_classes) or int64 of shape (...)
            Classes, one-hot or as codes; leading axes broadcast against those of the
            rows. None stands for all classes, along the last of these axes.
        log_prior : Tensor of shape (...)
            log p(y) of those classes.
        noise : Tensor of shape (..., n_noise)
            Standard normal draws, including those passed to `sample_auxiliary`.
        density : default=None
            Result of `density`, to share it between calls.

        Returns
        -------
        bound : Tensor of shape (...)
            In nats.
        """

    def density(self) -> Any:
        """Precompute what calls of `labelled_bound` in one training step share."""
        return None

    def class_bounds(
        self,
        sampled: Any,
        noise: Tensor,
        codes: Tensor | None = None,
        density: Any = None,
    ) -> Tensor:
        """Return L(x, y) for every class y, or for some, in one pass.

        Parameters
        ----------
        sampled
            Result of `sample_auxiliary` for n_rows rows.
        noise : Tensor of shape (n_rows, n_noise)
            One draw per row, shared by its classes: each bound stays unbiased, and
            differences between classes have less variance.
        codes : Tensor of int64 of shape (n_rows, n_chosen), default=None
            Classes of each row; all by default.
        density : default=None
            As for `labelled_bound`.

        Returns
        -------
        bounds : Tensor of shape (n_rows, n_classes) or (n_rows, n_chosen)
            In nats.
        """
        log_prior = self.log_prior if codes is None else self.log_prior.take(codes)
        return self.labelled_bound(
            sampled[:, None], codes, log_prior, noise[:, None], density
        )

    def row_terms(self, sampled: Any, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return the terms of the bound of log p(x) in an unsupervised stage.

        Returns
        -------
        log_likelihood, kl : Tensor of shape (n_rows,)
            The bound is their difference.

        Raises
        ------
        NotImplementedError
            If the model has no unsupervised stage.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no unsupervised training stage."
        )

    def row_bound(self, sampled: Any, noise: Tensor) -> Tensor:
        """Return the bound of log p(x) in an unsupervised stage: (n_rows,)."""
        log_likelihood, kl = self.row_terms(sampled, noise)
        return log_likelihood - kl

    # Prediction and generation.

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Return log q(y | x), normalised, of shape (n_rows, n_classes)."""

    def coarse_log_q_y(self, x: Tensor) -> Tensor:
        """Return log q(y | x), possibly less exact, for records during training."""
        log_q_y: Tensor = self(x)
        return log_q_y

    @abstractmethod
    def latent_means(self, x: Tensor) -> Tensor:
        """Return the mean of z under q(y, z | x), of shape (n_rows, latent_size)."""

    @property
    def n_filled_draws(self) -> int:
        """Number of passes through the networks for each completion of a row."""
        return 1

    def filled_log_q_y(self, x: Tensor, n_filled: int) -> Tensor:
        """Return log q(y | x) of rows whose predictions are averaged.

        Parameters
        ----------
        x : Tensor of shape (n_rows * n_filled, n_features)
            `n_filled` completions of each row, one after the other.
        n_filled : int
            Number of completions of a row.

        Returns
        -------
        log_q : Tensor of shape (n_rows * n_filled, n_classes)
            Possibly less exact than the result of `forward`.
        """
        log_q_y: Tensor = self(x)
        return log_q_y

    def filled_latent_means(self, x: Tensor, n_filled: int) -> Tensor:
        """Return the means of z of rows as for `filled_log_q_y`."""
        return self.latent_means(x)

    @abstractmethod
    def decoded_means(self, z: Tensor, weights: Tensor) -> Tensor:
        """Return the mean of x given z, averaged over classes: (n_rows, n_means).

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
        """Return log importance weights of draws from q, and p(x | latents, y) there.

        Parameters
        ----------
        x : Tensor of shape (n_rows, n_features)
            Rows. Cells that are NaN are left out.
        noise : Tensor of shape (n_draws, n_noise)
            Standard normal draws, the same for all rows.

        Returns
        -------
        log_weights : Tensor of float64 of shape (n_rows, n_classes, n_draws)
            Log of p(x, latents | y) / q(latents | x, y), in nats; float32 on devices
            without float64.
        p_x : RowDistribution
            p(x | latents, y) at the draws; its leading axes broadcast against those.
        """

    @abstractmethod
    def prior_rows(self, noise: Tensor) -> RowDistribution:
        """Return p(x | latents, y) at draws of the latents from p(latents | y).

        Parameters
        ----------
        noise : Tensor of shape (n_draws, n_noise)
            Standard normal draws, the same for all classes.

        Returns
        -------
        p_x : RowDistribution
            In float64 (float32 on devices without it); its leading axes are
            (n_classes, n_draws).
        """
