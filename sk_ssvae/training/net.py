"""The skorch net that trains a model on an objective, and its saved state."""

import copy
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from skorch.history import History
from torch import Tensor, nn

from sk_ssvae.data.layout import Layout
from sk_ssvae.models import VAEModule
from sk_ssvae.models.network_factories import BUILT_IN_NETWORKS, NetworkFactories
from sk_ssvae.models.user_networks import non_finite_networks, user_networks
from sk_ssvae.training.batch_norm import synchronized_batch_norm
from sk_ssvae.training.batches import MixedBatches, OrderedBatches
from sk_ssvae.training.communication import SINGLE_PROCESS
from sk_ssvae.training.compilation import compiled_loss
from sk_ssvae.training.diagnostics import history_terms
from sk_ssvae.training.divergence import (
    DivergenceError,
    DivergenceMonitor,
    sum_of_squares,
)
from sk_ssvae.training.learning_rates import learning_rate_factors
from sk_ssvae.training.loss import Loss, ssvae_loss
from sk_ssvae.training.objective import Objective, kl_warm_up
from sk_ssvae.training.progress import EpochTable, FitProgress
from sk_ssvae.training.rows import Rows
from sk_ssvae.training.schedule import Schedule
from sk_ssvae.training.scoring import ScoringNet
from sk_ssvae.utils.heap import trim_fragmented_heap
from sk_ssvae.utils.optimizers import Adam, check_optimizer_state
from sk_ssvae.utils.random import (
    Stream,
    seeded_global_generator,
    stream_generator,
    stream_seed,
)

__all__ = ["SSVAENet", "make_net", "step_work"]

DEFAULT_OBJECTIVE = Objective()


class SSVAENet(ScoringNet):
    """A skorch net that trains a semi-supervised VAE on `Rows`.

    Parameters
    ----------
    *args, **kwargs
        Passed to `sk_ssvae.training.rollback.RollbackNet`.
    seed : int
        Determines all random numbers of training. Those of epoch t depend on the seed
        and t only, not on how training was divided into calls.
    objective : Objective
        The training and validation loss.
    precision : {"float32", "bf16"}
        "bf16" runs the networks under autocast to bfloat16 in training.
    use_compiler : bool
        Whether ``torch.compile`` compiles the loss.
    epochs_done : int
        Epochs of the current stage that an earlier process did; schedules count them.
    progress_done : float or None
        Progress of the current stage at these epochs; None is their fraction.
    deadline : float or None
        Time at which the current stage should end, in seconds of `time.perf_counter`.
    batches_per_epoch : int or None
        Number of minibatches in an epoch; None makes one pass over the rows.

    Attributes
    ----------
    schedule_ : Schedule
        Progress of the current stage of training.
    """

    def __init__(
        self,
        *args: Any,
        seed: int = 0,
        objective: Objective = DEFAULT_OBJECTIVE,
        precision: str = "float32",
        use_compiler: bool = False,
        epochs_done: int = 0,
        progress_done: float | None = None,
        deadline: float | None = None,
        batches_per_epoch: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.seed = seed
        self.objective = objective
        self.precision = precision
        self.use_compiler = use_compiler
        self.epochs_done = epochs_done
        self.progress_done = progress_done
        self.deadline = deadline
        self.batches_per_epoch = batches_per_epoch

    def get_iterator(self, dataset: Any, training: bool = False) -> Any:
        """Return minibatches; those of training depend on seed and epoch only."""
        if not isinstance(dataset, Rows):
            return super().get_iterator(dataset, training=training)
        if not training:
            return OrderedBatches(dataset, self.batch_size)
        batches = MixedBatches(
            dataset,
            self.batch_size,
            seed=self.seed,
            epoch=len(self.history_),
            n_batches=self.batches_per_epoch,
            rank=self.communicator.rank,
            world_size=self.communicator.world_size,
        )
        self._shard = batches.shard
        self.schedule_ = Schedule(
            (self.epochs_done + self.max_epochs) * len(batches),
            step=self.epochs_done * len(batches),
            progress=self.progress_done,
            deadline=self.deadline,
        )
        self._is_first_stage = len(self.history_) == self.epochs_done
        return batches

    def infer(self, x: Any, **fit_params: Any) -> Any:
        """Return log q(y | x) of a minibatch of `Rows`, or of a tensor or array."""
        if isinstance(x, Mapping):  # on the device already
            return self.module_(x["x"])
        return super().infer(x, **fit_params)

    def _set_training(self, training: bool = True) -> None:
        if self.module_.training != training:  # skip the traversal of all modules
            super()._set_training(training)

    def _user_network_generator(self) -> AbstractContextManager[Any]:
        """Seed torch's global generator for user-supplied networks, if any."""
        if user_networks(self.module_):
            seed = stream_seed(self.seed, Stream.OWN_NOISE, len(self.history_))
            if not self.communicator.is_main:  # the rows have other draws
                seed = stream_seed(seed, Stream.OWN_NOISE, self.communicator.rank)
            return seeded_global_generator(seed, self.device)
        return nullcontext()

    def _is_training_complete(self) -> bool:
        return self.schedule_.is_over

    def _restart_epoch(self, iterator: MixedBatches) -> None:
        self.schedule_.restart_epoch()
        iterator.epoch -= 1
        self._start_epoch()
        self._forget_scores()

    def _diverged_final_loss(self, iterator: MixedBatches) -> float | None:
        # No later step shows whether the last one diverged, so one minibatch does.
        # Every epoch may be the last one if time is limited.
        if not self.schedule_.is_over and self.deadline is None:
            return None
        # Non-finite user networks are reported later, by `train`.
        batch = next(iter(OrderedBatches(iterator.rows, self.batch_size)))
        x, weight = batch[0]["x"], batch[0]["bound_weight"]
        with non_finite_networks(self.module_) as non_finite:
            loss = self.validation_step(batch)["loss"]
        monitor = DivergenceMonitor(self.device)
        monitor.update(loss, loss, [], sum_of_squares(x, weight / len(x)))
        is_good = monitor.count_good_steps() or non_finite
        return self.communicator.broadcast(None if is_good else float(loss))

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Start the random numbers and the records of the epoch."""
        super().on_epoch_begin(net, **kwargs)
        self.schedule_.start_epoch()
        self._start_epoch()

    def _start_epoch(self) -> None:
        self._trainable = [
            parameter
            for group in self.optimizer_.param_groups
            for parameter in group["params"]
        ]
        self._noise_generator = stream_generator(
            self.seed, Stream.NOISE, len(self.history_) - 1, self.device
        )
        self._losses: list[Loss] = []
        self.communicator.start_epoch()
        self._loss_function: Callable[..., Loss] = ssvae_loss
        if self.use_compiler:
            self._loss_function = compiled_loss(
                self.module_, self.objective.top_k, self.precision
            )

    def train_step_single(self, batch: Any, **fit_params: Any) -> dict[str, Tensor]:
        """Compute the loss of a minibatch and its gradient."""
        trim_fragmented_heap()
        self._set_training(True)
        model, (inputs, codes) = self.module_, batch
        kl_weight = self.kl_weight
        self._progress = self.schedule_.take_step()
        model.mixed = self.precision == "bf16"
        try:
            with synchronized_batch_norm(model, self.communicator):
                loss, log_q_y = self.objective.training_loss(
                    model,
                    inputs,
                    codes,
                    generator=self._noise_generator,
                    progress=self._progress,
                    kl_weight=kl_weight,
                    loss_function=self._loss_function,
                    shard=self._shard,
                )
            torch.autograd.backward(loss.total)
        finally:
            model.mixed = False
        squares = sum_of_squares(inputs["x"], inputs["bound_weight"])
        *terms, squares = self.communicator.sum_gradients(
            self._trainable, [*(term.detach() for term in loss), squares]
        )
        # Detached, so that the graph is freed before the next step.
        self._losses.append(Loss(*terms))
        detached = self._losses[-1]
        return {
            "loss": detached.total,
            "bound": detached.bound,
            "squares": squares,
            "y_pred": log_q_y.detach(),
        }

    def _learning_rate_factors(self, batch: Any) -> list[float]:
        inputs, _ = batch
        classifier, others = learning_rate_factors(
            self._progress,
            unsupervised=self.module_.unsupervised,
            has_soft_targets=self.objective.teacher_weight > 0
            and "soft_targets" in inputs
            and self._shard.n_unlabelled > 0,  # this process may have none of them
            large_steps=self.objective.large_steps,
            n_columns=inputs["x"].shape[1],
        )
        return [
            classifier if group.get("is_classifier") else others
            for group in self.optimizer_.param_groups
        ]

    @property
    def kl_weight(self) -> float:
        """Weight of the KL divergence in the loss of the next step."""
        model = self.module_
        if model.unsupervised and model.warms_up and self._is_first_stage:
            return kl_warm_up(self.schedule_.progress)
        return 1.0

    @torch.no_grad()
    def validation_step(self, batch: Any, **fit_params: Any) -> dict[str, Tensor]:
        """Compute minus the mean bound of log p(x), with the same noise every epoch."""
        trim_fragmented_heap()
        self._set_training(False)
        loss, log_q_y = self.objective.validation_loss(
            self.module_, batch[0], generator=self._validation_generator()
        )
        return {"loss": loss, "y_pred": log_q_y}

    def _validation_generator(self) -> torch.Generator:
        return stream_generator(self.seed, Stream.VALIDATION, device=self.device)

    def on_epoch_end(
        self,
        net: Any,
        dataset_train: Any = None,
        dataset_valid: Any = None,
        **kwargs: Any,
    ) -> None:
        """Record the terms of the loss, as means over the epoch, and of the bound.

        Of held-out labelled rows, the accuracy is recorded as ``valid_acc``, and
        whether it is the best one so far, with skorch's names.

        Raises
        ------
        DivergenceError
            If the loss of the held-out rows is not finite.
        """
        super().on_epoch_end(net, dataset_train=dataset_train, **kwargs)
        terms = torch.stack([torch.stack(loss) for loss in self._losses]).cpu().numpy()
        self._losses = []
        held_out = []
        if "valid_batch_count" in self.history_[-1]:
            held_out = self.history_[-1, "batches", :, "valid_loss"]
        for value in held_out:
            if not math.isfinite(value):
                raise DivergenceError(
                    f"Training diverged: the loss of the held-out rows became {value} "
                    f"in epoch {len(self.history_)}. {self.remedies}"
                )
        means = terms.mean(0, dtype=np.float64).tolist()
        for name, value in zip(Loss._fields[1:], means[1:], strict=True):
            self.history_.record(name, value)
        self._set_training(False)
        # Non-finite user networks are reported later, by `train`.
        with self._user_network_generator(), non_finite_networks(self.module_):
            reconstruction, kl = self.communicator.broadcast(
                history_terms(self.module_, dataset_train, self._validation_generator())
            )
            if dataset_valid is not None and dataset_valid.n_labelled:
                self._record_accuracy(dataset_valid.labelled())
        self.history_.record("reconstruction", reconstruction)
        self.history_.record("kl", kl)

    @property
    def remedies(self) -> str:
        """Advice for an error message when training diverges."""
        return self.objective.remedies(self.lr, unsupervised=self.module_.unsupervised)

    def optimizer_state(self) -> dict[str, npt.NDArray[Any]]:
        """Return the optimizer's state of each parameter, as "index.name" -> array.

        The index is that among the parameters of the module, which does not depend on
        the groups of the optimizer.
        """
        return {
            f"{i}.{name}": tensor.detach().cpu().numpy()
            for i, parameter in enumerate(self.module_.parameters())
            for name, tensor in self.optimizer_.state.get(parameter, {}).items()
        }

    def load_optimizer_state(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Set what `optimizer_state` returned; ValueError if it does not fit."""
        state: dict[int, dict[str, Tensor]] = {}
        for key, array in arrays.items():
            i, name = key.split(".")
            state.setdefault(int(i), {})[name] = torch.from_numpy(array.copy())
        parameters = list(self.module_.parameters())
        check_optimizer_state(parameters, state)
        # Groups number the parameters in their own order.
        groups = self.optimizer_.state_dict()["param_groups"]
        position = {
            id(parameter): i
            for indices, group in zip(groups, self.optimizer_.param_groups, strict=True)
            for i, parameter in zip(indices["params"], group["params"], strict=True)
        }
        ordered = {position[id(parameters[i])]: values for i, values in state.items()}
        self.optimizer_.load_state_dict({"state": ordered, "param_groups": groups})

    def snapshot(self) -> "SSVAENet":
        """Return a net for prediction, with a copy of the weights and the history."""
        twin: SSVAENet = copy.copy(self)
        twin.communicator = SINGLE_PROCESS
        twin.__dict__["module_"] = copy.deepcopy(self.module_)
        twin.__dict__["history_"] = History(copy.copy(self.history_.to_list()))
        return twin

    def __copy__(self) -> "SSVAENet":
        twin: SSVAENet = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        transients = (
            "_noise_generator",
            "_losses",
            "_loss_function",
            "_trainable",
            "schedule_",
        )
        for transient in transients:
            state.pop(transient, None)
        # Pickles made during training, e.g. by skorch's Checkpoint, hold no data and no
        # time limit, which is that of the fit.
        state["train_split"] = state["deadline"] = None
        state["callbacks_"] = [
            (name, callback)
            for name, callback in self.callbacks_
            if not isinstance(callback, FitProgress | EpochTable)
        ]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        # skorch sets a torch.device if the one it was saved on is not available.
        self.__dict__["device"] = str(self.__dict__["device"])


class _NoCriterion(nn.Module):
    """Criterion that skorch requires; the loss is that of `Objective`."""


def step_work(model: VAEModule, batch_size: int, top_k: int | None) -> int:
    """Estimate the multiply-adds of the forward pass of a training step.

    Parameters
    ----------
    model : VAEModule
        The model; every weight but the classifier's is used for each class of a row.
    batch_size : int
        Rows in a minibatch.
    top_k : int or None
        Number of classes summed exactly; None for all.
    """
    classifier = getattr(model, "classifier", None)
    n_weights = sum(p.numel() for p in model.parameters())
    if classifier is not None:
        n_weights -= sum(p.numel() for p in classifier.parameters())
    n_classes = len(model.classes) if top_k is None else top_k + 1
    return batch_size * n_classes * n_weights


def make_net(
    *,
    module_class: type[VAEModule],
    n_features: int,
    class_prior: npt.NDArray[np.float64],
    latent_size: int,
    hidden_sizes: tuple[int, ...],
    classifier_hidden_sizes: tuple[int, ...],
    likelihood: str | Layout,
    seed: int,
    device: torch.device,
    module_options: Mapping[str, Any] = MappingProxyType({}),
    networks: NetworkFactories = BUILT_IN_NETWORKS,
) -> SSVAENet:
    """Return a net with an untrained model on a device.

    Parameters
    ----------
    module_class : type of VAEModule
        Class of the model.
    n_features, class_prior, latent_size, hidden_sizes, classifier_hidden_sizes, \
likelihood, networks
        Arguments of `module_class`; see `sk_ssvae.models.m2.M2Module`.
    seed : int
        Seed of the initial weights and of training.
    device : torch.device
        Where the model is trained.
    module_options : mapping of str to object
        Further keyword arguments of `module_class`.
    """
    net = SSVAENet(
        module_class,
        _NoCriterion,
        module__n_features=n_features,
        module__class_prior=tuple(class_prior.tolist()),
        module__latent_size=latent_size,
        module__hidden_sizes=hidden_sizes,
        module__classifier_hidden_sizes=classifier_hidden_sizes,
        module__likelihood=likelihood,
        module__seed=seed,
        module__networks=networks,
        **{f"module__{name}": value for name, value in module_options.items()},
        optimizer=Adam,
        optimizer__param_groups=[
            (f"{prefix}classifier.*", {"is_classifier": True})
            for prefix in ("", "m2.")  # that of M1+M2 is in its second model
        ],
        train_split=None,
        predict_nonlinearity=torch.exp,
        verbose=0,
        device=str(device),
        seed=seed,
    )
    net.initialize()
    return net
