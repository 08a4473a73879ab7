"""The skorch net: minibatches in, custom loss, seeds, no waiting for the device."""

import copy
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping
from skorch.history import History
from skorch.utils import TeeGenerator
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from sk_ssvae.data.layout import Layout
from sk_ssvae.models import VAEModule
from sk_ssvae.models.bounds import unlabelled_bound
from sk_ssvae.models.network_factories import BUILT_IN_NETWORKS, NetworkFactories
from sk_ssvae.models.user_networks import UserNetwork, non_finite_networks
from sk_ssvae.training.adversarial import adversarial_kl
from sk_ssvae.training.batches import MixedBatches, OrderedBatches, Rows
from sk_ssvae.training.callbacks import EpochTaskReporter
from sk_ssvae.training.diagnostics import (
    bound_terms,
    diagnostic_rows,
    gauss_hermite_points,
)
from sk_ssvae.training.divergence import (
    MAX_ROLLBACKS,
    STEP_FACTOR,
    DivergenceMonitor,
    TrainingSnapshot,
    scaled_learning_rate,
)
from sk_ssvae.training.objective import (
    Loss,
    compiled_loss,
    ssvae_loss,
    teacher_pull,
    warm_up,
)
from sk_ssvae.utils.optimizers import Adam, check_optimizer_state
from sk_ssvae.utils.random import (
    Stream,
    seeded_global_generator,
    stream_generator,
    stream_seed,
)

__all__ = ["SSVAENet", "make_net", "step_work"]

_STEP_EVENTS = ("on_batch_begin", "on_batch_end", "on_grad_computed")
"""What skorch tells callbacks at every step."""

DECAY = 0.4
"""Where only the rows teach, the share of the steps at the end in which the learning
rate falls to zero. The classifier's answers gained nothing from it."""


class SSVAENet(NeuralNet):
    """A skorch net that trains a semi-supervised VAE on `Rows`.

    Nothing waits for the device within an epoch: losses stay there and are read when
    it is over, and so is whether a step diverged. From that step on none has changed
    the weights; the epoch is then done again from its start, with smaller steps (from
    the epoch before, if the first step is the one: the last before it went too far).
    The history therefore has one entry an epoch and none a batch, unless a callback
    listens to steps, when all is as in skorch.

    Parameters
    ----------
    *args, **kwargs
        As for `skorch.NeuralNet`. The criterion holds nothing: the loss is
        `sk_ssvae.training.objective.ssvae_loss`.
    seed : int
        Fixes every random number of training: those of epoch t depend on seed and t,
        not on how training was cut into calls. (A teacher's pull does: it starts anew
        at every call.)
    alpha : float
        Weight of the classification term.
    teacher_weight : float
        Weight of the teacher's term while its pull is 1.
    entropy_weight, balance_weight : float
        Weights of the entropy of q(y | x), and of its mean's divergence from p(y).
    adversarial_weight, adversarial_radius : float
        Weight of the divergence between answers for rows and for rows moved so far.
    top_k : int or None
        In training, classes that are summed exactly beside one draw; None for all.
    bound_rows : int or None
        In training, unlabelled rows of a minibatch whose bound is taken; None for all.
    precision : {"float32", "bf16"}
        "bf16" runs the networks, in training, under autocast to bfloat16.
    use_compiler : bool
        Whether ``torch.compile`` compiles the loss.
    max_grad_norm : float or None
        Norm to which larger gradients are scaled down; None for none.
    epochs_done : int
        Epochs that have gone before `max_epochs`, as far as schedules are concerned.

    Attributes
    ----------
    rollbacks_ : list of (int, int)
        Epoch and step, from 1, of each divergence that the training run has survived.
    """

    def __init__(
        self,
        *args: Any,
        seed: int = 0,
        alpha: float = 0.1,
        teacher_weight: float = 0.0,
        entropy_weight: float = 0.0,
        balance_weight: float = 0.0,
        adversarial_weight: float = 0.0,
        adversarial_radius: float = 1.0,
        top_k: int | None = None,
        bound_rows: int | None = None,
        precision: str = "float32",
        use_compiler: bool = False,
        max_grad_norm: float | None = None,
        epochs_done: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.seed = seed
        self.alpha = alpha
        self.teacher_weight = teacher_weight
        self.entropy_weight = entropy_weight
        self.balance_weight = balance_weight
        self.adversarial_weight = adversarial_weight
        self.adversarial_radius = adversarial_radius
        self.top_k = top_k
        self.bound_rows = bound_rows
        self.precision = precision
        self.use_compiler = use_compiler
        self.max_grad_norm = max_grad_norm
        self.rollbacks_: list[tuple[int, int]] = []
        self.epochs_done = epochs_done

    def get_iterator(self, dataset: Any, training: bool = False) -> Any:
        """Return minibatches; those of training depend on seed and epoch alone."""
        if not isinstance(dataset, Rows):
            return super().get_iterator(dataset, training=training)
        if not training:
            return OrderedBatches(dataset, self.batch_size)
        batches = MixedBatches(
            dataset, self.batch_size, seed=self.seed, epoch=len(self.history_)
        )
        # Epochs of this stage that another process has done.
        done = self.epochs_done
        self._step = done * len(batches)
        self._n_steps = (done + self.max_epochs) * len(batches)
        self._is_new = len(self.history_) == done
        self._good: TrainingSnapshot | None = None
        return batches

    def fit_loop(self, *args: Any, **kwargs: Any) -> Any:
        """Run epochs, and note if they are interrupted: skorch keeps that to itself.

        Its EarlyStopping raises KeyboardInterrupt, as ctrl-C does, and as callbacks of
        users may. It has then reached its patience, and ends the stage alone.
        """
        self.interrupted_ = False
        try:
            return super().fit_loop(*args, **kwargs)
        except KeyboardInterrupt:
            self.interrupted_ = not any(
                isinstance(callback, EarlyStopping)
                and callback.misses_ == callback.patience
                for _, callback in self.callbacks_
            )
            raise
        finally:  # hold on to no copies
            self._good = None
            self.__dict__.pop("_watch", None)

    def infer(self, x: Any, **fit_params: Any) -> Any:
        """Log q(y | x) of a batch of `Rows`, or of rows given as they are."""
        if isinstance(x, Mapping):  # on the device already
            return self.module_(x["x"])
        return super().infer(x, **fit_params)

    def _set_training(self, training: bool = True) -> None:
        if self.module_.training != training:  # a walk through all modules
            super()._set_training(training)

    def run_single_epoch(
        self,
        iterator: Any,
        training: bool,
        prefix: str,
        step_fn: Callable[..., Any],
        **fit_params: Any,
    ) -> None:
        """Run an epoch of training or validation."""
        if iterator is None:
            return
        epoch = (iterator, training, prefix, step_fn)
        if not training:
            with self._own_noise():
                self._run_epoch(*epoch, **fit_params)
            return
        first_step, start = self._step, TrainingSnapshot(self.module_, self.optimizer_)
        while True:
            self._watch = DivergenceMonitor(self.device)
            with self._own_noise():
                losses = self._run_epoch(*epoch, **fit_params)
                n_good = self._watch.good_steps()
                n_steps, last = len(losses), None
                if n_good == n_steps:
                    last = self._look_after_the_end(iterator.rows)
            if n_good == n_steps and last is None:
                self._good = start  # as its first step has shown
                return
            loss = losses[n_good] if last is None else last
            self._note_divergence(min(n_good + 1, n_steps), loss)
            if n_good == 0 and self._good is not None:
                start = self._good
            start.restore()
            self._step = first_step
            iterator.epoch -= 1
            self.history_[-1]["batches"].clear()
            self._begin_epoch()

    def _own_noise(self) -> AbstractContextManager[Any]:
        """Lend the user's networks, which draw from the global generator, a state."""
        if self._has_own_networks:
            seed = stream_seed(self.seed, Stream.OWN_NOISE, len(self.history_))
            return seeded_global_generator(seed, self.device)
        return nullcontext()

    def _look_after_the_end(self, rows: Rows) -> float | None:
        """Loss of a minibatch, if the last step of all has diverged: none follows it.

        Networks of the user that are not finite in evaluation mode are told of later.
        """
        if self._step < self._n_steps:
            return None
        batch = next(iter(OrderedBatches(rows, self.batch_size)))
        x, weight = batch[0]["x"], batch[0]["bound_weight"]
        with non_finite_networks(self.module_) as of_the_user:
            loss = self.validation_step(batch)["loss"]
        watch = DivergenceMonitor(self.device)
        watch.look(loss, loss, [], x, weight / len(x))
        return None if watch.good_steps() or of_the_user else float(loss)

    @property
    def _has_own_networks(self) -> bool:
        return any(isinstance(m, UserNetwork) for m in self.module_.modules())

    def _run_epoch(
        self,
        iterator: Any,
        training: bool,
        prefix: str,
        step_fn: Callable[..., Any],
        **fit_params: Any,
    ) -> list[float]:
        self._listened_to = {
            event
            for event in _STEP_EVENTS
            for _, callback in self.callbacks_
            if getattr(getattr(callback, event), "__func__", None)
            is not getattr(Callback, event)
        }
        losses, sizes = [], []
        for batch in iterator:
            size = len(batch[0]["x"])
            if self._listened_to:
                self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            if self._listened_to:
                self.history.record_batch(f"{prefix}_loss", step["loss"].item())
                self.history.record_batch(f"{prefix}_batch_size", size)
                self.notify("on_batch_end", batch=batch, training=training, **step)
            losses.append(step["loss"])
            sizes.append(size)
        values: list[float] = torch.stack(losses).tolist()
        if not self._listened_to:
            # As one batch of all rows, from which skorch makes the mean of the epoch.
            mean = np.average(values, weights=sizes)
            self.history.new_batch()
            self.history.record_batch(f"{prefix}_loss", float(mean))
            self.history.record_batch(f"{prefix}_batch_size", sum(sizes))
        self.history.record(f"{prefix}_batch_count", len(losses))
        return values

    def _note_divergence(self, step: int, loss: float) -> None:
        """Count one more, up to the one too many."""
        epoch = len(self.history_)
        self.rollbacks_.append((epoch, step))
        if len(self.rollbacks_) <= MAX_ROLLBACKS:
            return
        what = f"the loss became {loss:.3g}"
        if math.isfinite(loss):
            what = f"the loss ({loss:.3g}) or its gradient became too large"
        raise ValueError(
            f"Training diverged: {what} in step {step} of epoch {epoch}, the last of "
            f"{len(self.rollbacks_)} times, with steps {STEP_FACTOR**-MAX_ROLLBACKS:.0f} times "
            f"smaller than asked for. {self.remedies}"
        )

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Start the epoch's own stream of noise."""
        super().on_epoch_begin(net, **kwargs)
        self._begin_epoch()

    def _begin_epoch(self) -> None:
        self._noise = stream_generator(
            self.seed, Stream.NOISE, len(self.history_) - 1, self.device
        )
        self._terms: list[Loss] = []
        self._loss: Callable[..., Loss] = ssvae_loss
        if self.use_compiler:
            self._loss = compiled_loss(self.module_, self.top_k, self.precision)

    def train_step(self, batch: Any, **fit_params: Any) -> dict[str, Tensor]:
        """Take one step of the optimizer, which calls for one gradient only."""
        self._zero_grad_optimizer()
        step, inputs = self.train_step_single(batch, **fit_params), batch[0]
        if "on_grad_computed" in self._listened_to:
            self.notify(
                "on_grad_computed",
                named_parameters=TeeGenerator(self.get_all_learnable_params()),
                batch=batch,
                training=True,
            )
        learning = [
            parameter
            for group in self.optimizer_.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        self._watch.look(
            step["loss"],
            self._terms[-1].bound,
            [parameter.grad for parameter in learning],
            inputs["x"],
            inputs["bound_weight"],
        )
        if self.max_grad_norm is not None:
            clip_grad_norm_(learning, self.max_grad_norm)
        self.optimizer_.found_inf = self._watch.found
        with scaled_learning_rate(self.optimizer_, STEP_FACTOR ** len(self.rollbacks_)):
            self.optimizer_.step()
        return step

    def train_step_single(self, batch: Any, **fit_params: Any) -> dict[str, Tensor]:
        """Loss and gradients of a minibatch, in the precision asked for."""
        self._set_training(True)
        inputs, codes = batch
        self.module_.mixed = self.precision == "bf16"
        try:
            loss, log_q_y = self._training_loss(inputs, codes)
            torch.autograd.backward(loss)
        finally:
            self.module_.mixed = False
        # The graph ends here: the next step finds its memory free.
        return {"loss": loss.detach(), "y_pred": log_q_y.detach()}

    def _training_loss(
        self, inputs: dict[str, Tensor], codes: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Loss of a minibatch of `MixedBatches`, and log q(y | x) of its rows."""
        model, x = self.module_, inputs["x"]
        progress = self._step / self._n_steps
        self._step += 1
        exponential_noise = None
        if self.top_k is not None and not model.unsupervised:
            exponential_noise = x.new_empty(len(x) - len(codes), len(model.classes))
            exponential_noise.exponential_(generator=self._noise)
        noise = self._normal(len(x), x, self._noise)
        sampled = model.sample_auxiliary(x, noise)
        if model.unsupervised:
            log_q_y = x.new_zeros(len(x), len(model.classes))
            for group in self.optimizer_.param_groups:
                group["lr"] = self.lr * min(1.0, (1 - progress) / DECAY)
        else:
            log_q_y = model.log_q_y(sampled)
        adversarial = None
        if self.adversarial_weight and not model.unsupervised:
            direction = torch.empty_like(x).normal_(generator=self._noise)
            adversarial = self.adversarial_weight * adversarial_kl(
                model, x, log_q_y, noise, direction, self.adversarial_radius
            )
        weight = self.teacher_weight * teacher_pull(progress)
        pull: float | Tensor = weight
        warmth = warm_up(progress) if model.warms_up and self._is_new else 1.0
        kl_weight: float | Tensor = warmth
        if self.use_compiler:  # numbers would be compiled in
            pull, kl_weight = x.new_full((), weight), x.new_full((), warmth)
        loss = self._loss(
            model,
            sampled,
            log_q_y,
            codes,
            noise,
            bound_weight=inputs["bound_weight"],
            target_weight=inputs["target_weight"],
            alpha=self.alpha,
            guess=inputs.get("guess"),
            pull=pull,
            entropy_weight=self.entropy_weight,
            balance_weight=self.balance_weight,
            top_k=self.top_k,
            exponential_noise=exponential_noise,
            bound_rows=self.bound_rows,
            adversarial=adversarial,
            kl_weight=kl_weight,
        )
        self._terms.append(Loss(*(term.detach() for term in loss)))
        return loss.total, log_q_y

    @property
    def warming_up(self) -> bool:
        """Whether the KL divergence does not count in full at the next step."""
        model = self.module_
        warms_up = model.unsupervised and model.warms_up and self._is_new
        return bool(warms_up and warm_up(self._step / self._n_steps) < 1)

    @torch.no_grad()
    def validation_step(self, batch: Any, **fit_params: Any) -> dict[str, Tensor]:
        """Minus the mean bound of log p(x), with the same noise in every epoch."""
        self._set_training(False)
        model, x = self.module_, batch[0]["x"]
        generator = stream_generator(self.seed, Stream.VALIDATION, device=self.device)
        noise = self._normal(len(x), x, generator)
        sampled = model.sample_auxiliary(x, noise)
        if model.unsupervised:
            bound = model.row_bound(sampled, noise)
            log_q_y = x.new_zeros(len(x), len(model.classes))
        else:
            log_q_y = model.log_q_y(sampled)
            bound = unlabelled_bound(log_q_y, model.class_bounds(sampled, noise))
        loss = -(batch[0]["bound_weight"] * bound).mean()
        return {"loss": loss, "y_pred": log_q_y}

    def _normal(self, n_rows: int, like: Tensor, generator: torch.Generator) -> Tensor:
        """Draw noise for the latent variables of so many rows."""
        return torch.randn(
            n_rows,
            self.module_.n_noise,
            generator=generator,
            device=like.device,
            dtype=like.dtype,
        )

    def _bound_terms(self, rows: Rows) -> tuple[float, float]:
        """Reconstruction and KL divergence of a few rows, the same in every epoch."""
        self._set_training(False)
        generator = stream_generator(self.seed, Stream.VALIDATION, device=self.device)
        x, weight = diagnostic_rows(rows, len(self.module_.classes))
        noise = gauss_hermite_points(self.module_.n_noise, generator).to(x)
        # Networks of the user that are not finite in evaluation are told of later.
        with self._own_noise(), non_finite_networks(self.module_):
            terms = bound_terms(self.module_, x, weight, noise)
        reconstruction, kl = torch.stack(terms).tolist()
        return reconstruction, kl

    def on_epoch_end(self, net: Any, dataset_train: Any = None, **kwargs: Any) -> None:
        """Record what the loss is made of, as means over the epoch.

        Raises
        ------
        ValueError
            If the loss of the rows held out was not finite.
        """
        super().on_epoch_end(net, dataset_train=dataset_train, **kwargs)
        terms = torch.stack([torch.stack(loss) for loss in self._terms]).cpu().numpy()
        self._terms = []
        held_out = []
        if "valid_batch_count" in self.history_[-1]:
            held_out = self.history_[-1, "batches", :, "valid_loss"]
        for value in held_out:
            if not math.isfinite(value):
                raise ValueError(
                    f"Training diverged: the loss of the rows held out became {value} "
                    f"in epoch {len(self.history_)}. {self.remedies}"
                )
        means = terms.mean(0, dtype=np.float64).tolist()
        for name, value in zip(Loss._fields[1:], means[1:], strict=True):
            self.history_.record(name, value)
        reconstruction, kl = self._bound_terms(dataset_train)
        self.history_.record("reconstruction", reconstruction)
        self.history_.record("kl", kl)

    @property
    def remedies(self) -> str:
        """What to try when training diverges."""
        if self.module_.unsupervised:
            return (
                f"Try a smaller learning_rate (it is {self.lr}), and look for extreme "
                "values in X."
            )
        return (
            f"Try a smaller learning_rate (it is {self.lr}) or smaller weights in the "
            f"loss (alpha={self.alpha}, teacher_weight={self.teacher_weight}, "
            f"entropy_weight={self.entropy_weight}, "
            f"balance_weight={self.balance_weight}, "
            f"adversarial_weight={self.adversarial_weight}), and look for extreme "
            "values in X."
        )

    def optimizer_state(self) -> dict[str, npt.NDArray[Any]]:
        """Return what the optimizer knows of each parameter, by "place.slot"."""
        state = self.optimizer_.state_dict()["state"]
        return {
            f"{i}.{slot}": tensor.detach().cpu().numpy()
            for i, slots in state.items()
            for slot, tensor in slots.items()
        }

    def load_optimizer_state(self, known: Mapping[str, npt.NDArray[Any]]) -> None:
        """Give the optimizer what `optimizer_state` said; ValueError if it does not fit."""
        state: dict[int, dict[str, Tensor]] = {}
        for name, array in known.items():
            i, slot = name.split(".")
            state.setdefault(int(i), {})[slot] = torch.from_numpy(array.copy())
        check_optimizer_state(self.optimizer_, state)
        groups = self.optimizer_.state_dict()["param_groups"]
        self.optimizer_.load_state_dict({"state": state, "param_groups": groups})

    def snapshot(self) -> "SSVAENet":
        """Return a net that predicts as this one does now, and goes on doing so."""
        twin: SSVAENet = copy.copy(self)
        twin.__dict__["module_"] = copy.deepcopy(self.module_)
        twin.__dict__["history_"] = History(copy.copy(self.history_.to_list()))
        return twin

    def __copy__(self) -> "SSVAENet":
        twin: SSVAENet = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        for transient in ("_noise", "_terms", "_loss", "_watch", "_good"):
            state.pop(transient, None)
        # A copy made during training, as Checkpoint's pickles are, holds no data.
        state["train_split"] = None
        state["callbacks_"] = [
            (name, callback)
            for name, callback in self.callbacks_
            if not isinstance(callback, EpochTaskReporter)
        ]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        # A torch.device, where another had to do than the one it was saved on.
        self.__dict__["device"] = str(self.__dict__["device"])


class _NoCriterion(nn.Module):
    """skorch wants a criterion; the loss needs the module, so the net computes it."""


def step_work(model: VAEModule, batch_size: int, top_k: int | None) -> int:
    """Multiply-adds of a step forward, roughly: each weight for each class of a row."""
    once = getattr(model, "classifier", None)
    each = sum(p.numel() for p in model.parameters())
    if once is not None:
        each -= sum(p.numel() for p in once.parameters())
    n_classes = len(model.classes) if top_k is None else top_k + 1
    return batch_size * n_classes * each


def make_net(
    *,
    model: type[VAEModule],
    n_features: int,
    class_prior: npt.NDArray[np.float64],
    latent_size: int,
    hidden_sizes: tuple[int, ...],
    classifier_hidden_sizes: tuple[int, ...],
    likelihood: str | Layout,
    seed: int,
    device: torch.device,
    inner_size: int | None = None,
    networks: NetworkFactories = BUILT_IN_NETWORKS,
) -> SSVAENet:
    """Return a net with an untrained model on `device`."""
    net = SSVAENet(
        model,
        _NoCriterion,
        module__n_features=n_features,
        module__class_prior=tuple(class_prior.tolist()),
        module__latent_size=latent_size,
        module__hidden_sizes=hidden_sizes,
        module__classifier_hidden_sizes=classifier_hidden_sizes,
        module__likelihood=likelihood,
        module__seed=seed,
        module__inner_size=inner_size,
        module__networks=networks,
        optimizer=Adam,
        train_split=None,
        predict_nonlinearity=torch.exp,
        verbose=0,
        device=str(device),
        seed=seed,
    )
    net.initialize()
    return net
