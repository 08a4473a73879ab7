"""Searches by Optuna: scores, pruned trials, and a storage that processes share."""

import subprocess
import sys

import numpy as np
import pytest
from partially_labelled import FEW_IRIS, IRIS_ROWS
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score

from sk_ssvae import SSVAEClassifier
from sk_ssvae.model_selection import LabeledStratifiedKFold, labeled_scorer

optuna = pytest.importorskip("optuna")
integration = pytest.importorskip("optuna_integration")

CV = LabeledStratifiedKFold(2, shuffle=True, random_state=0)
SCORER = labeled_scorer("neg_log_loss")
N_EPOCHS = 4


@pytest.fixture(autouse=True)
def quiet():
    """Do not log each trial."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def make_classifier(latent_size=2, callbacks=None):
    return SSVAEClassifier(
        latent_size,
        hidden_sizes=(8,),
        teacher=None,
        max_epochs=N_EPOCHS,
        validation_fraction=0.2,
        callbacks=callbacks,
        random_state=0,
    )


@pytest.mark.filterwarnings("ignore:`optuna.terminator` module has been:FutureWarning")
@pytest.mark.filterwarnings("ignore:OptunaSearchCV is experimental:Warning")
def test_optuna_search_has_the_scores_of_cross_validation():
    search = integration.OptunaSearchCV(
        make_classifier(),
        {
            "latent_size": optuna.distributions.IntDistribution(1, 3),
            "options__entropy_weight": optuna.distributions.FloatDistribution(0, 1),
        },
        cv=CV,
        scoring=SCORER,
        n_trials=3,
        random_state=0,
    ).fit(IRIS_ROWS, FEW_IRIS)
    assert len(search.trials_) == 3
    for trial in search.trials_:
        clf = make_classifier().set_params(**trial.params)
        scores = cross_val_score(clf, IRIS_ROWS, FEW_IRIS, cv=CV, scoring=SCORER)
        assert trial.value == pytest.approx(scores.mean(), abs=1e-12)
    best = make_classifier().set_params(**search.best_params_)
    np.testing.assert_array_equal(
        search.predict_proba(IRIS_ROWS),
        best.fit(IRIS_ROWS, FEW_IRIS).predict_proba(IRIS_ROWS),
    )


@pytest.mark.parametrize("last_epoch", [0, 2])
def test_a_pruned_trial_ends_after_its_epoch_and_leaves_no_fitted_estimator(last_epoch):
    losses = make_classifier().fit(IRIS_ROWS, FEW_IRIS).history_[:, "valid_loss"]
    expected = dict(enumerate(losses[: last_epoch + 1]))  # counted from 0
    fitted = []

    class AfterEpoch(optuna.pruners.BasePruner):
        def prune(self, study, trial):
            return trial.last_step >= last_epoch

    def objective(trial):
        callback = integration.SkorchPruningCallback(trial, "valid_loss")
        clf = make_classifier(callbacks=[callback])
        fitted.append(clf)
        clf.fit(IRIS_ROWS, FEW_IRIS)
        return -clf.validation_bound_

    study = optuna.create_study(pruner=AfterEpoch())
    study.optimize(objective, n_trials=1)
    (trial,) = study.trials
    assert trial.state == optuna.trial.TrialState.PRUNED
    assert trial.intermediate_values == expected
    with pytest.raises(NotFittedError):
        fitted[0].predict(IRIS_ROWS)


WORKER = """
import sys

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from sklearn.datasets import load_iris
from sk_ssvae import SSVAEClassifier

X, y = load_iris(return_X_y=True)
y[15:] = y[15:].clip(-1, -1)
y[:15] = [0, 1, 2] * 5

def objective(trial):
    latent_size = trial.suggest_int("latent_size", 1, 3)
    clf = SSVAEClassifier(latent_size, hidden_sizes=(4,), teacher=None, max_epochs=1,
                          validation_fraction=0.2, random_state=0)
    return clf.fit(X, y).validation_bound_

optuna.logging.set_verbosity(optuna.logging.WARNING)
storage = JournalStorage(JournalFileBackend(sys.argv[1]))
study = optuna.create_study(
    study_name="iris", storage=storage, direction="maximize", load_if_exists=True
)
study.optimize(objective, n_trials=2)
"""


def test_processes_that_share_a_storage_contribute_to_one_study(tmp_path):
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    path = str(tmp_path / "study.log")
    command = [sys.executable, "-W", "ignore", "-c", WORKER, path]
    workers = [subprocess.Popen(command) for _ in range(2)]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0]
    storage = JournalStorage(JournalFileBackend(path))
    study = optuna.load_study(study_name="iris", storage=storage)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 4
    values = {}
    for trial in study.trials:  # the same parameters have the same bound everywhere
        size = trial.params["latent_size"]
        assert values.setdefault(size, trial.value) == trial.value
