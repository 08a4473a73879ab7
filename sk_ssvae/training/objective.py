"""The objective of training: weights, schedules and random draws of the loss."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sk_ssvae.models import VAEModule
from sk_ssvae.models.bounds import unlabelled_bound
from sk_ssvae.training.adversarial import adversarial_kl
from sk_ssvae.training.loss import Loss, ssvae_loss
from sk_ssvae.training.sharding import BatchShard
from sk_ssvae.utils.chunks import BOUND_CELLS, row_chunks

__all__ = ["Objective", "kl_warm_up", "resolve_alpha", "teacher_decay"]

MIN_ALPHA = 30.0
"""Weight of the classification terms for few columns, chosen on six sets with at most
40 (``python -m benchmarks accuracy.choose_defaults``)."""

ALPHA_PER_COLUMN = 1 / 25
"""Weight for each of many columns. The bound is a sum over columns. On word counts with
7,000 columns and a weight of 30 it pulled the classifier away from its teacher
(`python -m benchmarks accuracy.ablation_report
benchmarks/results/ablations_width.json`)."""


def resolve_alpha(alpha: str | float, n_columns: int) -> float:
    """Return the weight of the classification terms.

    Parameters
    ----------
    alpha : "auto" or float
        The parameter of that name.
    n_columns : int
        Number of columns in the bound.

    Returns
    -------
    alpha : float
    """
    if isinstance(alpha, str):  # "auto"
        return max(MIN_ALPHA, ALPHA_PER_COLUMN * n_columns)
    return float(alpha)


def teacher_decay(progress: float, end: float = 0.35) -> float:
    """Relative weight of the teacher's term: falls linearly from 1 to 1/2.

    Parameters
    ----------
    progress : float in [0, 1]
        Fraction of the training steps done.
    end : float in (0, 1]
        Fraction of the steps from which on the weight stays 1/2. Without any teacher,
        predictions drift where classes overlap.

    Returns
    -------
    weight : float in [0.5, 1]
    """
    return max(0.5, 1.0 - 0.5 * progress / end)


def kl_warm_up(progress: float, end: float = 0.4) -> float:
    """Weight of the KL divergence in an unsupervised loss: rises linearly from 0 to 1.

    Sonderby, Raiko, Maaloe, Sonderby & Winther 2016, "Ladder variational autoencoders",
    section 2.3: latent dimensions that collapse to the prior early, while the decoder
    does not use them yet, rarely recover.

    Parameters
    ----------
    progress : float in [0, 1]
        Fraction of the training steps done.
    end : float in (0, 1]
        Fraction of the steps from which on the weight is 1.

    Returns
    -------
    weight : float in [0, 1]
    """
    return min(1.0, progress / end)


@dataclass(frozen=True, kw_only=True)
class Objective:
    """Training and validation loss of a model.

    The defaults are the loss of Kingma et al. 2014 (arXiv 1406.5298, eqs. 8 and 9). A
    model in an unsupervised stage is trained on minus its bound of log p(x), and no
    weight has an effect.

    Parameters
    ----------
    alpha : float
        Weight of the classification terms.
    teacher_weight : float
        Weight of the cross-entropy with the teacher's soft targets before its decay
        (`teacher_decay`).
    entropy_weight : float
        Weight of the entropy of q(y | x) on unlabelled rows.
    adversarial_weight : float
        Weight of virtual adversarial training.
    adversarial_radius : float
        Length of the adversarial perturbation, in the units of the networks' inputs.
    top_k : int or None
        Number of classes that are summed exactly in training, next to one sampled
        class; None sums all.
    bound_rows : int or None
        Number of unlabelled rows of a minibatch whose bound is computed in training;
        None uses all.
    large_steps : bool
        Whether steps with soft targets are large (`sk_ssvae.training.learning_rates`).
    """

    alpha: float = 0.1
    teacher_weight: float = 0.0
    entropy_weight: float = 0.0
    adversarial_weight: float = 0.0
    adversarial_radius: float = 1.0
    top_k: int | None = None
    bound_rows: int | None = None
    large_steps: bool = False

    def training_loss(
        self,
        model: VAEModule,
        inputs: Mapping[str, Tensor],
        codes: Tensor,
        *,
        generator: torch.Generator,
        progress: float,
        kl_weight: float = 1.0,
        loss_function: Callable[..., Loss] = ssvae_loss,
        shard: BatchShard | None = None,
    ) -> tuple[Loss, Tensor]:
        """Compute the loss of a minibatch, or of a shard of it, with its random draws.

        The losses of the shards of a minibatch sum to that of the minibatch: the draws
        are those of the whole minibatch, and the terms are weighted sums over rows.

        Parameters
        ----------
        model : VAEModule
            The model, in training mode.
        inputs : mapping of str to Tensor
            ``x``, ``bound_weight``, ``target_weight`` and optionally ``soft_targets``
            of a minibatch of `sk_ssvae.training.batches.MixedBatches`.
        codes : Tensor of int64 of shape (n_labelled,)
            Classes of the labelled rows.
        generator : torch.Generator
            Source of the draws, on the device of the model.
        progress : float in [0, 1)
            Fraction of the training steps done.
        kl_weight : float
            Weight of the KL divergence in an unsupervised loss.
        loss_function : callable
            `ssvae_loss`, or its compiled version.
        shard : BatchShard, default=None
            Which rows of a minibatch these are; by default they are a whole one.

        Returns
        -------
        loss : Loss
            Attached to the graph.
        log_q_y : Tensor of shape (n_rows, n_classes)
            log q(y | x); zeros in an unsupervised stage.
        """
        x = inputs["x"]
        if shard is None:
            shard = BatchShard(len(codes), len(x) - len(codes))
        exponential_noise = None
        if self.top_k is not None and not model.unsupervised:
            draws = x.new_empty(shard.n_unlabelled, len(model.classes))
            exponential_noise = shard.unlabelled(
                draws.exponential_(generator=generator)
            )
        noise = shard.rows(_latent_noise(model, x, len(shard), generator))
        sampled = model.sample_auxiliary(x, noise)
        log_q_y = _log_q_y(model, x, sampled)
        adversarial = None
        if self.adversarial_weight and not model.unsupervised:
            direction = x.new_empty(len(shard), x.shape[1])
            adversarial = self.adversarial_weight * adversarial_kl(
                model,
                x,
                log_q_y,
                noise,
                shard.rows(direction.normal_(generator=generator)),
                self.adversarial_radius,
            )
        bound_rows, bound_factor = shard.bound_rows(self.bound_rows)
        loss = loss_function(
            model,
            sampled,
            log_q_y,
            codes,
            noise,
            bound_weight=inputs["bound_weight"],
            target_weight=inputs["target_weight"],
            alpha=self.alpha,
            soft_targets=inputs.get("soft_targets"),
            teacher_weight=self.teacher_weight * teacher_decay(progress),
            entropy_weight=self.entropy_weight,
            top_k=self.top_k,
            exponential_noise=exponential_noise,
            bound_rows=bound_rows,
            bound_factor=bound_factor,
            adversarial=adversarial,
            kl_weight=kl_weight,
        )
        return loss, log_q_y

    def validation_loss(
        self,
        model: VAEModule,
        inputs: Mapping[str, Tensor],
        *,
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor]:
        """Compute minus the mean bound of log p(x), with the exact sum over classes.

        Parameters
        ----------
        model : VAEModule
            The model, in evaluation mode.
        inputs : mapping of str to Tensor
            ``x`` and ``bound_weight`` of a minibatch of
            `sk_ssvae.training.batches.OrderedBatches`.
        generator : torch.Generator
            Source of the latent noise, on the device of the model.

        Returns
        -------
        loss : scalar Tensor
            In nats per row.
        log_q_y : Tensor of shape (n_rows, n_classes)
            log q(y | x); zeros in an unsupervised stage.
        """
        x = inputs["x"]
        noise = _latent_noise(model, x, len(x), generator)
        sampled = model.sample_auxiliary(x, noise)
        log_q_y = _log_q_y(model, x, sampled)
        if model.unsupervised:
            bound = model.row_bound(sampled, noise)
        else:
            cells_per_row = len(model.classes) * model.likelihood.n_outputs
            class_bounds = [
                model.class_bounds(sampled[rows], noise[rows])
                for rows in row_chunks(len(x), cells_per_row, BOUND_CELLS)
            ]
            bound = unlabelled_bound(log_q_y, torch.cat(class_bounds))
        return -(inputs["bound_weight"] * bound).mean(), log_q_y

    def remedies(self, learning_rate: float, *, unsupervised: bool) -> str:
        """Return advice for an error message when training diverges.

        Parameters
        ----------
        learning_rate : float
            The learning rate in use.
        unsupervised : bool
            Whether the model is in an unsupervised stage.
        """
        advice = f"Try a smaller learning_rate (it is {learning_rate})"
        if not unsupervised:
            advice += (
                f" or smaller weights in the loss (alpha={self.alpha}, "
                f"teacher_weight={self.teacher_weight}, "
                f"entropy_weight={self.entropy_weight}, "
                f"adversarial_weight={self.adversarial_weight})"
            )
        return f"{advice}, and check X for extreme values."


def _latent_noise(
    model: VAEModule, x: Tensor, n_rows: int, generator: torch.Generator
) -> Tensor:
    """Draw standard normal noise for the latent variables of rows, of x's type."""
    return torch.randn(
        n_rows, model.n_noise, generator=generator, device=x.device, dtype=x.dtype
    )


def _log_q_y(model: VAEModule, x: Tensor, sampled: object) -> Tensor:
    """Return log q(y | x), or zeros in an unsupervised stage."""
    if model.unsupervised:
        return x.new_zeros(len(x), len(model.classes))
    return model.log_q_y(sampled)
