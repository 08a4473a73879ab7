"""What a fit prints, and the tasks that scikit-learn's callbacks see."""

import re

import numpy as np
import pytest
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.callback._callback_context import get_context_path
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.semi_supervised import LabelSpreading
from skorch.callbacks import Callback, EarlyStopping, PrintLog

from sk_ssvae import OpinionPoolClassifier, VariationalAutoencoder
from sk_ssvae.model_selection import labeled_scorer
from sk_ssvae.models import M1M2
from sk_ssvae.training import ClassifierOptions
from sk_ssvae.training.progress import format_duration

HELD_OUT = ClassifierOptions(labeled_validation_fraction=0.4)

SECONDS = re.compile(r"\d+\.\d s(, elapsed \d+:\d\d)?$", re.MULTILINE)


def pool(**params):
    return OpinionPoolClassifier(views=["columns", "logistic", "whitened"], **params)


def lines_of(capsys, last="fit: SSVAEClassifier, s"):
    """Return the printed lines but the last one, with times replaced by s."""
    lines = SECONDS.sub("s", capsys.readouterr().out).splitlines()
    if last is not None:
        assert lines.pop() == last
    assert last not in lines
    return lines


def columns_of(line):
    return re.split(r"\s{2,}", line.strip())


def test_each_view_is_a_line_and_each_epoch_a_row(quick, iris, capsys):
    X, y, _ = iris
    clf = quick(teacher=pool(), verbose=1, options=HELD_OUT).fit(X, y)
    lines = lines_of(capsys)
    assert lines[:4] == [
        "teacher: columns, 1 of 3, s",
        "teacher: logistic, 2 of 3, s",
        "teacher: whitened, 3 of 3, s",
        "teacher: OpinionPoolClassifier, s",
    ]
    header, rule, *rows = lines[4:]
    names = ["epoch", "loss", "bound", "held-out bound", "accuracy"]
    assert columns_of(header) == [*names, "elapsed", "remaining"]
    assert set(rule) == {"-", " "}
    assert len({len(line) for line in (header, rule, *rows)}) == 1
    for i, (line, epoch) in enumerate(zip(rows, clf.history_, strict=True), 1):
        cells = columns_of(line)
        assert cells[0] == f"{i}/4"
        values = epoch["train_loss"], epoch["bound"], -epoch["valid_loss"]
        assert cells[1:5] == [f"{v:.4f}" for v in (*values, epoch["valid_acc"])]
        assert all(re.fullmatch(r"\d+:\d\d", cell) for cell in cells[5:])
    assert columns_of(rows[-1])[-1] == "0:00"


@pytest.mark.parametrize(
    ("teacher", "name"),
    [
        (LabelSpreading(kernel="knn"), "LabelSpreading"),
        (make_pipeline(MinMaxScaler(), LabelSpreading(kernel="knn")), "LabelSpreading"),
    ],
)
def test_other_teachers_are_one_line(quick, iris, capsys, teacher, name):
    X, y, _ = iris
    quick(teacher=teacher, verbose=1, max_epochs=1).fit(X, y)
    first, header, *_ = lines_of(capsys)
    assert first == f"teacher: {name}, s"
    assert columns_of(header) == ["epoch", "loss", "bound", "elapsed", "remaining"]


def test_views_in_a_pipeline_are_lines(quick, iris, capsys):
    X, y, _ = iris
    teacher = make_pipeline(MinMaxScaler(), pool())
    quick(teacher=teacher, verbose=1, max_epochs=1).fit(X, y)
    assert lines_of(capsys)[2] == "teacher: whitened, 3 of 3, s"


def test_other_steps_are_lines(quick, iris, capsys):
    X, y, _ = iris
    params = {"class_prior": "estimate", "temperature": "cross-fit", "verbose": 1}
    quick(max_epochs=1, **params).fit(X, y)
    assert lines_of(capsys)[:6] == [
        "class prior: logistic, 1 of 1, s",
        "class prior: OpinionPoolClassifier, s",
        "temperature: fold, 1 of 3, s",
        "temperature: fold, 2 of 3, s",
        "temperature: fold, 3 of 3, s",
        "temperature: cross-fit, s",
    ]


def test_nothing_is_printed_by_default(quick, iris, capsys):
    X, y, _ = iris
    quick(teacher=pool(), temperature="cross-fit").fit(X, y)
    assert lines_of(capsys, last=None) == []


def test_the_table_of_an_autoencoder(iris, capsys):
    X, _, _ = iris
    vae = VariationalAutoencoder(2, hidden_sizes=(8,), max_epochs=2, verbose=1)
    vae.fit(X)
    last = "fit: VariationalAutoencoder, s"
    header, _, *rows = lines_of(capsys, last)
    assert columns_of(header) == ["epoch", "loss", "bound", "elapsed", "remaining"]
    assert [columns_of(row)[0] for row in rows] == ["1/2", "2/2"]
    vae.set_params(validation_fraction=0.2).fit(X)
    assert "held-out bound" in lines_of(capsys, last)[0]


def test_the_table_names_the_stages(quick, iris, capsys):
    X, y, _ = iris
    model = M1M2(inner_size=3, pretrain_epochs=2, finetune_epochs=1)
    quick(model=model, verbose=1, max_epochs=2, options=HELD_OUT).fit(X, y)
    header, _, *rows = lines_of(capsys)
    assert columns_of(header)[:2] == ["stage", "epoch"]
    cells = [columns_of(row) for row in rows]
    assert [row[:2] for row in cells] == [
        ["m1", "1/2"],
        ["m1", "2/2"],
        ["m2", "1/2"],
        ["m2", "2/2"],
        ["all", "1/1"],
    ]
    assert [row[5] == "-" for row in cells] == [True, True, False, False, False]


def test_the_table_of_chunks_goes_on(quick, iris, capsys):
    X, y, _ = iris
    clf = quick(verbose=1)
    for _ in range(3):
        clf.partial_fit(X, y, classes=[0, 1, 2])
    header, _, *rows = lines_of(capsys, last=None)
    assert columns_of(header) == ["epoch", "loss", "bound", "elapsed"]
    assert [columns_of(row)[0] for row in rows] == ["1", "2", "3"]


def test_the_epoch_that_early_stopping_ends_is_printed(quick, iris, capsys):
    X, y, _ = iris
    stop = EarlyStopping("train_loss", patience=2, threshold=1e9, sink=lambda text: 0)
    quick(max_epochs=9, verbose=1, callbacks=[stop]).fit(X, y)
    rows = lines_of(capsys)[2:]
    assert [columns_of(row)[0] for row in rows] == ["1/9", "2/9", "3/9"]


def test_an_interrupted_epoch_is_not_printed(quick, iris, capsys):
    X, y, _ = iris

    class Interrupt(Callback):
        def on_batch_end(self, net, **kwargs):
            if len(net.history_) == 2:
                raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="interrupted after 1 of 4"):
        quick(verbose=1, callbacks=[Interrupt()]).fit(X, y)
    assert len(lines_of(capsys)) == 3


def test_every_line_has_the_time_since_the_fit_began(quick, iris, capsys, monkeypatch):
    X, y, _ = iris
    now = [0.0]
    monkeypatch.setattr("sk_ssvae.training.progress.time.perf_counter", lambda: now[0])

    class SlowClassifier(LogisticRegression):
        """Takes 50 seconds."""

        def fit(self, X, y):
            now[0] += 50
            return super().fit(X, y)

    class Epoch(Callback):
        def on_epoch_end(self, net, **kwargs):
            now[0] += 30

    slow = OpinionPoolClassifier(views=["columns", ("slow", SlowClassifier())])
    params = {"teacher": slow, "verbose": 1, "max_epochs": 2, "callbacks": [Epoch()]}
    quick(**params).fit(X, y)
    *views, total, _, _, first, second, last = capsys.readouterr().out.splitlines()
    n_fits = round(now[0] - 60) // 50  # cross-fitted
    assert n_fits > 2
    seconds, elapsed = f"{50 * n_fits}.0 s", format_duration(50 * n_fits)
    assert views == [
        "teacher: columns, 1 of 2, 0.0 s, elapsed 0:00",
        f"teacher: slow, 2 of 2, {seconds}, elapsed {elapsed}",
    ]
    assert total == f"teacher: OpinionPoolClassifier, {seconds}, elapsed {elapsed}"
    times = [columns_of(line)[-2:] for line in (first, second)]
    after = [format_duration(50 * n_fits + s) for s in (30, 60)]
    assert times == [[after[0], "0:30"], [after[1], "0:00"]]
    assert last == f"fit: SSVAEClassifier, {50 * n_fits + 60}.0 s"


def test_the_remaining_time_is_that_of_all_epochs_left(quick, iris, capsys):
    X, y, _ = iris

    class Clock(Callback):
        """Lets a minute pass in each epoch."""

        now = 0.0

        def on_epoch_begin(self, net, **kwargs):
            Clock.now += 60

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sk_ssvae.training.progress.time.perf_counter", lambda: Clock.now)
        model = M1M2(inner_size=3, pretrain_epochs=2, finetune_epochs=1)
        quick(model=model, verbose=1, max_epochs=17, callbacks=[Clock()]).fit(X, y)
    rows = [columns_of(row) for row in lines_of(capsys)[2:]]
    assert rows[0][-2] == "1:00"
    assert rows[1][-2] == "2:00"
    # The time is measured from the first epoch on, after the clock has moved.
    for i, row in enumerate(rows, 1):
        minutes = (20 - i) * (i - 1) / i
        assert row[-1] == format_duration(60 * minutes)


def test_durations():
    expected = {0: "0:00", 59.4: "0:59", 59.6: "1:00", 3599: "59:59", 3661: "1:01:01"}
    assert {s: format_duration(s) for s in expected} == expected


def test_print_logs_of_the_user_replace_the_table(quick, iris, capsys):
    X, y, _ = iris
    quick(verbose=1, callbacks=[PrintLog()]).fit(X, y)
    lines = lines_of(capsys)
    assert len(lines) == 6
    assert "train_loss" in lines[0]
    assert "elapsed" not in lines[0]
    logged = []
    quick(verbose=1, callbacks=[PrintLog(sink=logged.append)]).fit(X, y)
    assert len(lines_of(capsys)) == len(logged) == 6
    quick(callbacks=[PrintLog()]).fit(X, y)
    assert lines_of(capsys, last=None) == []


class Tasks:
    """Records the path of names of each task, and whether it begins or ends."""

    def __init__(self):
        self.begun, self.ended, self.sizes = [], [], {}

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def path(self, context):
        return "/".join(c.task_name for c in get_context_path(context))

    def on_fit_task_begin(self, estimator, context):
        self.begun.append(self.path(context))
        self.sizes[self.path(context)] = context.max_subtasks

    def on_fit_task_end(self, estimator, context):
        self.ended.append(self.path(context))


def test_every_step_of_a_fit_is_a_task(quick, iris):
    X, y, _ = iris
    tasks = Tasks()
    params = {"teacher": pool(), "temperature": "cross-fit", "max_epochs": 2}
    quick(**params).set_callbacks(tasks).fit(X, y)
    views = [f"fit/teacher/{name}" for name in ("columns", "logistic", "whitened")]
    folds = ["fit/temperature/fold"] * 3
    epochs = ["fit/training/epoch"] * 2
    steps = ["fit/teacher", "fit/temperature", "fit/training"]
    assert tasks.begun == [
        "fit",
        *(steps[0], *views),
        *(steps[1], *folds),
        *(steps[2], *epochs),
    ]
    assert tasks.ended == [
        *(*views, steps[0]),
        *(*folds, steps[1]),
        *(*epochs, steps[2]),
        "fit",
    ]
    assert [tasks.sizes[name] for name in ("fit", *steps)] == [3, 3, 3, 2]


def test_tasks_of_stages_and_of_a_single_step(quick, iris):
    X, y, truth = iris
    tasks = Tasks()
    model = M1M2(inner_size=3, pretrain_epochs=2)
    quick(model=model, max_epochs=1).set_callbacks(tasks).fit(X, y)
    stages = ["fit/m1", *["fit/m1/epoch"] * 2, "fit/m2", "fit/m2/epoch"]
    assert tasks.begun == ["fit", *stages]
    assert tasks.sizes["fit"] == 2
    for labels in (y, truth):  # a teacher has nothing to do if all rows have labels
        tasks = Tasks()
        teacher = None if labels is y else pool()
        clf = quick(max_epochs=2, teacher=teacher).set_callbacks(tasks)
        clf.fit(X, labels)
        assert tasks.begun == ["fit", "fit/epoch", "fit/epoch"]
        assert tasks.sizes == {"fit": 2, "fit/epoch": 0}


def test_a_stop_that_is_requested_with_an_interruption_ends_all_stages(quick, iris):
    X, y, _ = iris

    class Stop(Tasks):
        def on_fit_task_end(self, estimator, context):
            super().on_fit_task_end(estimator, context)
            return context.task_name == "epoch"

    class Interrupt(Callback):
        def on_epoch_end(self, net, **kwargs):
            raise KeyboardInterrupt

    model = M1M2(inner_size=3, pretrain_epochs=2)
    for callbacks in ([], [Interrupt()]):
        tasks = Stop()
        clf = quick(model=model, max_epochs=1, callbacks=callbacks)
        clf.set_callbacks(tasks).fit(X, y)
        assert tasks.begun == ["fit", "fit/m1", "fit/m1/epoch"]


def test_the_teacher_is_a_task_without_subtasks(quick, iris):
    X, y, _ = iris
    tasks = Tasks()
    clf = quick(max_epochs=1, teacher=LabelSpreading(kernel="knn"))
    clf.set_callbacks(tasks).fit(X, y)
    assert tasks.begun == ["fit", "fit/teacher", "fit/training", "fit/training/epoch"]
    assert tasks.sizes["fit/teacher"] == 0


def test_cross_fitting_without_folds_is_a_task(quick, blobs):
    X, _, truth = blobs
    y = np.full(len(X), -1)
    for label in range(3):
        y[np.flatnonzero(truth == label)[0]] = label
    tasks = Tasks()
    clf = quick(max_epochs=1, temperature="cross-fit").set_callbacks(tasks)
    clf.fit(X, y)
    training = ["fit/training", "fit/training/epoch"]
    assert tasks.begun == ["fit", "fit/temperature", *training]


def test_progress_bars_show_the_steps(quick, iris, capsys):
    X, y, _ = iris
    quick(teacher=pool()).set_callbacks(ProgressBar()).fit(X, y)
    shown = capsys.readouterr().out
    for name in ("fit", "teacher #0", "training #1"):
        assert f"SSVAEClassifier - {name}" in shown
    assert shown.count("100%") == 3


def test_scores_of_scikit_learns_callbacks_are_those_of_epochs(quick, iris):
    X, _, y = iris
    monitor = ScoringMonitor(scoring={"accuracy": labeled_scorer("accuracy")})
    few = np.where(np.arange(150) % 5 == 0, y, -1)
    clf = quick(teacher=pool(), max_epochs=3).set_callbacks(monitor).fit(X, few)
    logs = monitor.get_logs().data
    assert [e["task_name"] for e in logs if "accuracy" in e] == ["fit", *["epoch"] * 3]
    final = next(e["accuracy"] for e in logs if e["task_name"] == "fit")
    assert final == logs[-1]["accuracy"] == clf.score(X, few)


def test_steps_in_a_grid_search(quick, iris):
    X, _, y = iris
    tasks = Tasks()
    y = np.where(np.arange(150) % 3 == 0, y, -1)
    search = GridSearchCV(quick(teacher=pool(), max_epochs=1), {"alpha": [1.0]}, cv=2)
    search.estimator.set_callbacks(tasks)
    search.fit(X, y)
    assert len([name for name in tasks.ended if name.endswith("whitened")]) == 3
