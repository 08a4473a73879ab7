"""Displays: what is drawn is what the estimator says."""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_ssvae import SSVAEClassifier, VariationalAutoencoder

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.colors import to_rgba
from matplotlib.testing.compare import compare_images

from sk_ssvae.display import (
    LatentSpaceDisplay,
    SamplesDisplay,
    TrainingDisplay,
    TraversalDisplay,
)
from sk_ssvae.display.axes import PALETTE
from sk_ssvae.display.images import mosaic

X, TRUTH = load_iris(return_X_y=True)
FEW = np.where(np.arange(150) % 5, -1, TRUTH)
NAMES = np.array(["setosa", "versicolor", "virginica"])
NAMED = np.where(FEW < 0, -1, NAMES.astype(object)[TRUTH])
BASELINES = Path(__file__).parents[1] / "files" / "images"
ALL = [LatentSpaceDisplay, SamplesDisplay, TrainingDisplay, TraversalDisplay]


@pytest.fixture(autouse=True)
def no_figures_are_left():
    with mpl.style.context("default"):
        yield
    plt.close("all")


def small(kind=SSVAEClassifier, **parameters):
    given = {"latent_size": 3, "hidden_sizes": (6,), "max_epochs": 3, "random_state": 0}
    if kind is SSVAEClassifier:
        given |= {"teacher": None, "inner_size": 3, "pretrain_epochs": 2}
    return kind(**(given | parameters))


@pytest.fixture(scope="module")
def clf():
    return small().fit(X, NAMED)


@pytest.mark.parametrize("display", ALL)
def test_without_matplotlib(display, clf, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    arguments = (X,) if display is LatentSpaceDisplay else ()
    with pytest.raises(ImportError) as error:
        display.from_estimator(clf, *arguments)
    assert str(error.value) == (
        f'{display.__name__} needs matplotlib: pip install "sk_ssvae[plot]".'
    )


@pytest.mark.parametrize("display", ALL)
def test_estimators_have_to_be_fitted(display):
    arguments = (X,) if display is LatentSpaceDisplay else ()
    with pytest.raises(NotFittedError):
        display.from_estimator(small(), *arguments)


# The latent space.


def test_points_are_latent_means(clf):
    display = LatentSpaceDisplay.from_estimator(clf, X, NAMED, projection="first")
    Z = clf.transform(X)[:, :2]
    known = FEW >= 0
    np.testing.assert_array_equal(display.labelled_.get_offsets(), Z[known])
    np.testing.assert_array_equal(display.unlabelled_.get_offsets(), Z[~known])
    colour_of = {name: to_rgba(c) for name, c in zip(NAMES, PALETTE, strict=False)}
    marked = [colour_of[name] for name in NAMED[known]]
    np.testing.assert_allclose(display.labelled_.get_facecolors(), marked)
    faint = np.array([colour_of[name] for name in clf.predict(X)[~known]])
    faint[:, 3] = 0.35
    np.testing.assert_allclose(display.unlabelled_.get_facecolors(), faint)
    legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert legend == NAMES.tolist()
    assert display.ax_.get_xlabel() == "latent dimension 0"


def test_principal_axes_keep_distances_and_say_how_much_they_show():
    rng = np.random.RandomState(0)
    Z = rng.randn(40, 2) @ rng.randn(2, 5)  # a plane in five dimensions
    display = LatentSpaceDisplay.from_predictions(Z)
    between = np.linalg.norm(Z[:, None] - Z, axis=2)
    shown = np.linalg.norm(display.points[:, None] - display.points, axis=2)
    np.testing.assert_allclose(shown, between, atol=1e-9)
    shares = [int(name.split("(")[1].split("%")[0]) for name in display.axis_names]
    assert sum(shares) == 100
    assert shares[0] >= shares[1]


def test_one_dimension_one_row_one_class_and_many():
    one = LatentSpaceDisplay.from_predictions(
        np.arange(5.0)[:, None], [-1, 0, 0, 0, -1]
    )
    np.testing.assert_array_equal(one.points[:, 0], np.arange(5))
    row = LatentSpaceDisplay.from_predictions(np.ones((1, 4)))
    assert row.points.tolist() == [[1, 1]]
    assert row.ax_.get_legend() is None
    many = LatentSpaceDisplay.from_predictions(np.random.randn(60, 2), np.arange(60))
    assert many.ax_.get_legend() is None
    assert len(np.unique(many.labelled_.get_facecolors(), axis=0)) == 60


def test_axes_of_ones_own_and_styles(clf):
    _, ax = plt.subplots()
    display = LatentSpaceDisplay.from_estimator(
        clf, X, ax=ax, unlabelled_kwargs={"s": 3}, labelled_kwargs={"marker": "^"}
    )
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert display.unlabelled_.get_sizes().tolist() == [3]
    assert len(plt.get_fignums()) == 1


def test_an_autoencoder_has_no_classes():
    vae = small(VariationalAutoencoder).fit(X)
    display = LatentSpaceDisplay.from_estimator(vae, X)
    assert (display.codes == -1).all()
    marked = LatentSpaceDisplay.from_estimator(vae, X, FEW)
    assert (marked.codes == FEW).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": [0, 1]}, "y has 2 labels for 3 rows of Z."),
        ({"y_pred": [0]}, "y_pred has 1 labels for 3 rows of Z."),
        ({"projection": "tsne"}, "projection must be 'pca' or 'first', got 'tsne'."),
    ],
)
def test_refusals_of_the_latent_space(arguments, message):
    with pytest.raises(ValueError) as error:
        LatentSpaceDisplay.from_predictions(np.ones((3, 4)), **arguments)
    assert str(error.value) == message
    assert plt.get_fignums() == []


# Samples.


def test_images_are_what_sample_gives(clf):
    display = SamplesDisplay.from_estimator(clf, n_samples=4, image_shape=(2, 2))
    drawn, _ = clf.sample(y=np.repeat(NAMES, 4))
    picture = display.ax_.get_images()[0].get_array()
    for i in range(3):
        for j in range(4):
            image = picture[3 * i + 1 : 3 * i + 3, 3 * j + 1 : 3 * j + 3]
            np.testing.assert_array_equal(image, drawn[4 * i + j].reshape(2, 2))
    assert [t.get_text() for t in display.ax_.get_yticklabels()] == NAMES.tolist()


def test_a_mosaic_takes_apart_again():
    images = np.random.RandomState(0).rand(2, 3, 24)
    for shape in ((4, 6), (2, 4, 3)):
        picture = mosaic(images, shape)
        height, width = shape[:2]
        assert picture.shape[:2] == (2 * (height + 1) + 1, 3 * (width + 1) + 1)
        inner = picture[~np.isnan(picture)]
        assert sorted(inner) == sorted(images.ravel())


def test_columns_are_shares_of_real_and_drawn_rows():
    frame = pd.DataFrame(X, columns=list("abcd")).assign(town=NAMES[TRUTH])
    frame.loc[::7, "b"] = np.nan
    clf = small().fit(frame, FEW)
    display = SamplesDisplay.from_estimator(clf, frame, features=["town", "b"])
    towns, numbers = display.axes_.ravel()
    drawn, _ = clf.sample(150)
    for container, rows in zip(towns.containers, (frame, drawn), strict=True):
        shares = [bar.get_height() for bar in container]
        np.testing.assert_allclose(shares, [(rows["town"] == n).mean() for n in NAMES])
    for container in numbers.containers:
        assert sum(bar.get_height() for bar in container) == pytest.approx(1)
    assert towns.get_title() == "town"
    assert SamplesDisplay.from_estimator(clf).axes_.shape == (2, 4)


def test_one_pair_of_axes_is_divided(clf):
    figure, ax = plt.subplots()
    display = SamplesDisplay.from_estimator(clf, X, features=[0, 3], ax=ax)
    assert display.figure_ is figure
    assert display.axes_.shape == (1, 2)
    figure, several = plt.subplots(2, 2)
    display = SamplesDisplay.from_estimator(clf, X, ax=several)
    assert [*display.axes_.flat] == [*several.flat]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"image_shape": (2, 3)},
            "image_shape=(2, 3) has 6 cells, but rows have 4.",
        ),
        (
            {"image_shape": (4,)},
            "image_shape must be (height, width), or (height, width, 3 or 4) for "
            "colours, got (4,).",
        ),
        ({"features": [7]}, "features holds 7, which is none of [0, 1, 2, 3]."),
        ({"features": []}, "features is empty. Name a column, or leave it out."),
    ],
)
def test_refusals_of_samples(clf, arguments, message):
    with pytest.raises(ValueError) as error:
        SamplesDisplay.from_estimator(clf, **arguments)
    assert str(error.value) == message


def test_too_few_axes(clf):
    _, two = plt.subplots(1, 2)
    with pytest.raises(ValueError) as error:
        SamplesDisplay.from_estimator(clf, ax=two)
    assert str(error.value) == (
        "ax holds 2 axes, but SamplesDisplay draws on 4. Give that many, one to be "
        "divided, or None."
    )


# Training.


def test_curves_are_the_history():
    clf = small(validation_fraction=0.2, early_stopping=True, max_epochs=6).fit(X, FEW)
    display = TrainingDisplay.from_estimator(clf)
    assert display.terms_[:5] == [
        "train_loss",
        "bound",
        "reconstruction",
        "kl",
        "classification",
    ]
    for term, axes in zip(display.terms_, display.axes_.flat, strict=True):
        expected = [row[term] for row in clf.history_]
        np.testing.assert_array_equal(axes.get_lines()[0].get_ydata(), expected)
    held_out = display.axes_.flat[1].get_lines()[1].get_ydata()
    np.testing.assert_array_equal(held_out, [-e["valid_loss"] for e in clf.history_])
    assert max(held_out) == clf.validation_bound_
    kept = display.axes_.flat[0].get_lines()[-1].get_xdata()[0]
    assert held_out[int(kept) - 1] == clf.validation_bound_
    assert display.ax_.get_ylabel() == "nats a row"


@pytest.mark.parametrize("model", ["m1+m2", "sdgm"])
def test_training_of_other_models(model):
    display = TrainingDisplay.from_estimator(small(model=model).fit(X, FEW))
    assert "bound" in display.terms_


def test_no_history():
    with pytest.raises(ValueError) as error:
        TrainingDisplay([]).plot()
    assert str(error.value) == "history is empty: no epoch was done."


# Traversals.


@pytest.mark.parametrize("model", ["m2", "m1+m2", "sdgm"])
def test_traversals_are_decoded_means(model):
    clf = small(model=model).fit(X, NAMED)
    display = TraversalDisplay.from_estimator(clf, dimension=1, n_points=3)
    Z = np.zeros((3, 3), dtype=np.float32)
    Z[:, 1] = [-0.967421566101701, 0, 0.967421566101701]  # quantiles 1/6, 1/2, 5/6
    for name, rows, axes in zip(
        clf.classes_, display.decoded, display.axes_.flat, strict=True
    ):
        np.testing.assert_allclose(rows, clf.inverse_transform(Z, y=name), rtol=1e-6)
        curves = [line.get_ydata() for line in axes.get_lines()]
        np.testing.assert_array_equal(curves, rows)
        assert axes.get_title() == f"class {name}"


def test_analogies_are_decoded_latent_means(clf):
    display = TraversalDisplay.from_estimator(
        clf, X[:5], classes=["virginica"], image_shape=(2, 2)
    )
    expected = clf.inverse_transform(clf.transform(X[:5]), y="virginica")
    np.testing.assert_array_equal(display.decoded[0], expected)
    picture = display.ax_.get_images()[0].get_array()
    np.testing.assert_array_equal(picture[1:3, 1:3], X[0].reshape(2, 2))
    np.testing.assert_array_equal(picture[4:6, 4:6], expected[1].reshape(2, 2))
    labels = [text.get_text() for text in display.ax_.get_yticklabels()]
    assert labels == ["row", "virginica"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"dimension": 3},
            "dimension=3 is none of the 3 latent dimensions, which are counted from 0.",
        ),
        ({"n_points": 0}, "n_points must be positive, got 0."),
        ({"image_shape": (3, 3)}, "image_shape=(3, 3) has 9 cells, but rows have 4."),
    ],
)
def test_refusals_of_traversals(clf, arguments, message):
    with pytest.raises(ValueError) as error:
        TraversalDisplay.from_estimator(clf, **arguments)
    assert str(error.value) == message


@pytest.mark.parametrize("display", ALL[1:])
def test_pipelines_have_no_such_thing(clf, display):
    pipeline = make_pipeline(StandardScaler(), clf)
    with pytest.raises(TypeError) as error:
        display.from_estimator(pipeline)
    name = display.__name__
    what = {
        SamplesDisplay: "sample",
        TrainingDisplay: "history_",
        TraversalDisplay: "latent_size",
    }[display]
    assert str(error.value) == (
        f"{name} needs an SSVAEClassifier or a VariationalAutoencoder, whose {what} it "
        "draws; Pipeline has none. Of a pipeline give the last step, pipeline[-1], and "
        "rows as that step sees them."
    )


@pytest.mark.parametrize("display", ALL)
def test_what_is_no_axes(clf, display):
    rows = (X,) if display is LatentSpaceDisplay else ()
    several = "" if display is LatentSpaceDisplay else ", an array of them"
    message = f"ax must be matplotlib Axes{several} or None, got 3 of type int."
    with pytest.raises(TypeError) as error:
        display.from_estimator(clf, *rows, ax=3)
    assert str(error.value) == message


@pytest.mark.parametrize("display", [SamplesDisplay, TrainingDisplay, TraversalDisplay])
def test_axes_without_a_grid_are_divided_too(clf, display):
    outer = plt.figure().add_axes((0.1, 0.1, 0.8, 0.8))
    drawn = display.from_estimator(clf, ax=outer)
    assert drawn.figure_ is outer.figure
    boxes = [axes.get_position() for axes in drawn.axes_.flat]
    for box in boxes:
        assert outer.get_position().x0 <= box.x0 < box.x1 <= outer.get_position().x1
    lefts = [axes.get_position().x0 for axes in drawn.axes_[0]]
    assert lefts == sorted(set(lefts))


def test_of_a_model_without_classes():
    vae = VariationalAutoencoder(latent_size=2, max_epochs=2, random_state=0).fit(X)
    drawn = SamplesDisplay.from_estimator(vae, image_shape=(2, 2))
    assert drawn.ax_.get_title() == "Draws from p(x)"
    assert drawn.samples.shape == (10, 4)
    along = TraversalDisplay.from_estimator(vae, n_points=3)
    np.testing.assert_allclose(
        along.decoded[0, 1], vae.inverse_transform(np.zeros((1, 2)))[0], rtol=1e-6
    )
    with pytest.raises(ValueError) as error:
        TraversalDisplay.from_estimator(vae, classes=[1])
    assert str(error.value) == (
        "classes=[1], but VariationalAutoencoder has no classes. Leave them out."
    )


def test_classes_of_images_are_in_their_own_order():
    classes = np.repeat(np.arange(12), 2)
    drawn = SamplesDisplay(
        np.repeat(classes[:, None], 4, axis=1), classes, image_shape=(2, 2)
    ).plot()
    labels = [label.get_text() for label in drawn.ax_.get_yticklabels()]
    assert labels == [str(k) for k in range(12)]
    picture = drawn.ax_.images[0].get_array()
    assert [picture[3 * k + 1, 1] for k in range(12)] == list(range(12))


def test_columns_that_are_no_numbers(clf):
    frame = pd.DataFrame({"a": X[:, 0], "b": pd.Categorical(NAMES[TRUTH])})
    mixed = SSVAEClassifier(teacher=None, max_epochs=2, random_state=0).fit(frame, FEW)
    with pytest.raises(ValueError) as error:
        TraversalDisplay.from_estimator(mixed)
    assert str(error.value) == (
        "TraversalDisplay draws numbers, but the columns ['b'] hold others."
    )


def test_sparse_rows_are_drawn(clf):
    counts = csr_array(np.random.RandomState(0).poisson(1, (150, 4)))
    sparse = SSVAEClassifier(teacher=None, max_epochs=2, random_state=0)
    drawn = TraversalDisplay.from_estimator(sparse.fit(counts, FEW), counts[:3])
    np.testing.assert_array_equal(drawn.rows, counts[:3].toarray())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dimension": "a"}, "dimension must be an integer, got 'a' of type str."),
        ({"n_points": 2.5}, "n_points must be an integer, got 2.5 of type float."),
        ({"n_points": True}, "n_points must be an integer, got True of type bool."),
    ],
)
def test_what_is_no_count(clf, arguments, message):
    with pytest.raises(TypeError) as error:
        TraversalDisplay.from_estimator(clf, **arguments)
    assert str(error.value) == message


@pytest.mark.parametrize("shape", ["ab", 4, (-2, -2), (2.0, 2.0), (4,), (1, 2, 2)])
def test_shapes_of_no_image(clf, shape):
    with pytest.raises(ValueError) as error:
        SamplesDisplay.from_estimator(clf, image_shape=shape)
    assert str(error.value) == (
        "image_shape must be (height, width), or (height, width, 3 or 4) for colours, "
        f"got {shape!r}."
    )


@pytest.mark.parametrize("history", ["abc", [{"bound": 1.0}], [3]])
def test_histories_that_are_none(history):
    with pytest.raises(TypeError) as error:
        TrainingDisplay(history).plot()
    assert str(error.value) == (
        "history must hold a dict for each epoch, as history_ does, with its number as "
        f"'epoch', got {history[0]!r}."
    )


def test_points_that_are_all_the_same():
    drawn = LatentSpaceDisplay.from_predictions(np.ones((5, 3)))
    assert drawn.axis_names[0] == "first principal axis (0% of the variance)"


# Pictures, of numbers that do not depend on training.

DRAWN = {
    "latent_space": lambda: LatentSpaceDisplay.from_predictions(
        np.random.RandomState(0).randn(60, 2) + np.repeat(np.eye(2) * 4, 30, 0),
        np.where(np.arange(60) % 6, -1, np.arange(60) // 30),
        y_pred=np.arange(60) // 30,
    ),
    "samples": lambda: SamplesDisplay(
        np.random.RandomState(0).rand(8, 9),
        np.repeat(["a", "b"], 4),
        image_shape=(3, 3),
    ).plot(),
    "columns": lambda: SamplesDisplay(
        np.random.RandomState(0).randn(200, 2),
        np.zeros(200),
        real=np.random.RandomState(1).randn(200, 2),
    ).plot(),
    "training": lambda: TrainingDisplay(
        [
            {"epoch": i, "train_loss": 9 / i, "bound": -8 / i, "valid_loss": 9 / i}
            for i in range(1, 9)
        ],
        kept_epoch=6,
    ).plot(),
    "traversal": lambda: TraversalDisplay(
        np.linspace(0, 1, 2 * 3 * 4).reshape(2, 3, 4),
        class_names=["a", "b"],
        point_names=["-1", "0", "1"],
        image_shape=(2, 2),
    ).plot(),
}


@pytest.mark.skipif(
    not mpl.__version__.startswith("3.11."),
    reason="layout and letters of the committed pictures are those of matplotlib 3.11",
)
@pytest.mark.parametrize("name", DRAWN)
def test_pictures(name, tmp_path):
    """Made anew by ``figure_.savefig(..., dpi=50)`` below, and looked at."""
    actual = tmp_path / f"{name}.png"
    DRAWN[name]().figure_.savefig(actual, dpi=50)
    assert compare_images(BASELINES / f"{name}.png", actual, tol=8) is None
