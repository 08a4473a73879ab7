"""Displays plot what the estimators return, and raise clear errors."""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.sparse import csr_array
from sklearn.datasets import load_digits, load_iris
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
from sk_ssvae.display.validation import as_numbers
from sk_ssvae.models import M1M2, M2, SDGM
from sk_ssvae.utils.random import Stream, draw_seed, stream_seed

X, TRUTH = load_iris(return_X_y=True)
FEW = np.where(np.arange(150) % 5, -1, TRUTH)
NAMES = np.array(["setosa", "versicolor", "virginica"])
NAMED = np.where(FEW < 0, -1, NAMES.astype(object)[TRUTH])
BASELINES = Path(__file__).parents[1] / "files" / "images"
DISPLAYS = [LatentSpaceDisplay, SamplesDisplay, TrainingDisplay, TraversalDisplay]


@pytest.fixture(autouse=True)
def close_figures():
    with mpl.style.context("default"):
        yield
    plt.close("all")


def make_estimator(cls=SSVAEClassifier, **parameters):
    """Return an unfitted estimator that trains in a fraction of a second."""
    defaults = {
        "latent_size": 3,
        "hidden_sizes": (6,),
        "max_epochs": 2,
        "random_state": 0,
    }
    if cls is SSVAEClassifier:
        defaults |= {"teacher": None, "classifier_hidden_sizes": (6,)}
    return cls(**(defaults | parameters))


@pytest.fixture(scope="module")
def clf():
    return make_estimator().fit(X, NAMED)


@pytest.fixture(scope="module")
def vae():
    return make_estimator(VariationalAutoencoder).fit(X)


@pytest.fixture(
    scope="module", params=[M2(), M1M2(pretrain_epochs=1), SDGM()], ids=repr
)
def clf_of_each_model(request):
    return make_estimator(model=request.param).fit(X, NAMED)


@pytest.mark.parametrize("display", DISPLAYS)
def test_missing_matplotlib_is_reported(display, clf, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    arguments = (X,) if display is LatentSpaceDisplay else ()
    with pytest.raises(ImportError) as error:
        display.from_estimator(clf, *arguments)
    assert str(error.value) == (
        f'{display.__name__} needs matplotlib: pip install "sk_ssvae[plot]".'
    )


@pytest.mark.parametrize("display", DISPLAYS)
def test_estimators_must_be_fitted(display):
    arguments = (X,) if display is LatentSpaceDisplay else ()
    with pytest.raises(NotFittedError):
        display.from_estimator(make_estimator(), *arguments)


# LatentSpaceDisplay.


def test_latent_means_are_plotted_in_the_colours_of_their_classes(clf):
    display = LatentSpaceDisplay.from_estimator(clf, X, NAMED, projection="first")
    Z = clf.transform(X)[:, :2]
    labelled = FEW >= 0
    np.testing.assert_array_equal(display.labelled_.get_offsets(), Z[labelled])
    np.testing.assert_array_equal(display.unlabelled_.get_offsets(), Z[~labelled])
    colours = {name: to_rgba(c) for name, c in zip(NAMES, PALETTE, strict=False)}
    of_labels = [colours[name] for name in NAMED[labelled]]
    np.testing.assert_allclose(display.labelled_.get_facecolors(), of_labels)
    of_predictions = np.array([colours[name] for name in clf.predict(X)[~labelled]])
    of_predictions[:, 3] = 0.35
    np.testing.assert_allclose(display.unlabelled_.get_facecolors(), of_predictions)
    legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert legend == NAMES.tolist()
    assert display.ax_.get_xlabel() == "latent dimension 0"


def test_principal_axes_preserve_distances_and_state_the_explained_variance():
    rng = np.random.RandomState(0)
    Z = rng.randn(40, 2) @ rng.randn(2, 5)  # a plane in five dimensions
    display = LatentSpaceDisplay.from_predictions(Z)
    original = np.linalg.norm(Z[:, None] - Z, axis=2)
    projected = np.linalg.norm(display.points[:, None] - display.points, axis=2)
    np.testing.assert_allclose(projected, original, atol=1e-9)
    percentages = [int(name.split("(")[1].split("%")[0]) for name in display.axis_names]
    assert sum(percentages) == 100
    assert percentages[0] >= percentages[1]


def test_equal_points_have_no_variance():
    display = LatentSpaceDisplay.from_predictions(np.ones((5, 3)))
    assert display.axis_names[0] == "first principal axis (0% of the variance)"


def test_one_latent_dimension():
    Z = np.arange(5.0)[:, None]
    display = LatentSpaceDisplay.from_predictions(Z, [-1, 0, 0, 0, -1])
    np.testing.assert_array_equal(display.points[:, 0], np.arange(5))


def test_one_row_without_a_class():
    display = LatentSpaceDisplay.from_predictions(np.ones((1, 4)))
    assert display.points.tolist() == [[1, 1]]
    assert display.ax_.get_legend() is None


def test_many_classes_have_different_colours_and_no_legend():
    Z = np.random.RandomState(0).randn(60, 2)
    display = LatentSpaceDisplay.from_predictions(Z, np.arange(60))
    assert display.ax_.get_legend() is None
    assert len(np.unique(display.labelled_.get_facecolors(), axis=0)) == 60


def test_given_axes_and_styles_are_used(clf):
    _, ax = plt.subplots()
    display = LatentSpaceDisplay.from_estimator(
        clf, X, ax=ax, unlabelled_kwargs={"s": 3}, labelled_kwargs={"marker": "^"}
    )
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert display.unlabelled_.get_sizes().tolist() == [3]
    assert len(plt.get_fignums()) == 1


def test_autoencoders_colour_the_labelled_rows_only(vae):
    display = LatentSpaceDisplay.from_estimator(vae, X)
    assert (display.codes == -1).all()
    display = LatentSpaceDisplay.from_estimator(vae, X, FEW)
    assert (display.codes == FEW).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": [0, 1]}, "y has 2 labels, but Z has 3 rows."),
        ({"y_pred": [0]}, "y_pred has 1 labels, but Z has 3 rows."),
        ({"projection": "tsne"}, "projection must be 'pca' or 'first', got 'tsne'."),
    ],
)
def test_invalid_arguments_of_the_latent_space_display(arguments, message):
    with pytest.raises(ValueError) as error:
        LatentSpaceDisplay.from_predictions(np.ones((3, 4)), **arguments)
    assert str(error.value) == message
    assert plt.get_fignums() == []


# SamplesDisplay.


def test_samples_are_plotted_as_images(clf):
    display = SamplesDisplay.from_estimator(
        clf, n_samples=4, image_shape=(2, 2), kind="draws"
    )
    samples, _ = clf.sample(y=np.repeat(NAMES, 4))
    plotted = display.ax_.get_images()[0].get_array()
    for i in range(3):
        for j in range(4):
            image = plotted[3 * i + 1 : 3 * i + 3, 3 * j + 1 : 3 * j + 3]
            np.testing.assert_array_equal(image, samples[4 * i + j].reshape(2, 2))
    assert [t.get_text() for t in display.ax_.get_yticklabels()] == NAMES.tolist()
    assert display.ax_.get_title() == "Draws from p(x | y)"


def test_images_are_by_default_means_at_the_same_z_for_each_class(clf):
    display = SamplesDisplay.from_estimator(clf, n_samples=4, image_shape=(2, 2))
    seed = stream_seed(draw_seed(0), Stream.SAMPLE_Z)
    Z = np.random.default_rng(seed).standard_normal((4, 3))
    means = [clf.inverse_transform(Z, y=name) for name in NAMES]
    np.testing.assert_allclose(display.samples, np.concatenate(means), rtol=1e-6)
    assert display.classes.tolist() == np.repeat(NAMES, 4).tolist()
    assert display.ax_.get_title() == "Means of p(x | y, z), z from p(z)"


def test_means_of_pixels_are_grey_and_draws_black_or_white():
    pixels = (load_digits().data[:150] > 7).astype(float)
    clf = make_estimator(likelihood="bernoulli").fit(pixels, load_digits().target[:150])
    shape = {"n_samples": 3, "image_shape": (8, 8)}
    draws = SamplesDisplay.from_estimator(clf, **shape, kind="draws").samples
    means = SamplesDisplay.from_estimator(clf, **shape).samples
    assert set(np.unique(draws)) == {0, 1}
    assert 0 < means.max() < 1
    same = SamplesDisplay.from_estimator(clf, **shape, kind="means").samples
    np.testing.assert_array_equal(same, means)


def test_a_random_state_instance_gives_other_means_at_each_call():
    clf = make_estimator(random_state=np.random.RandomState(0)).fit(X, NAMED)
    first, second = (
        SamplesDisplay.from_estimator(clf, image_shape=(2, 2)).samples for _ in range(2)
    )
    assert (first != second).any()


def test_images_of_each_model(clf_of_each_model):
    display = SamplesDisplay.from_estimator(clf_of_each_model, image_shape=(2, 2))
    assert display.samples.shape == (30, 4)


def test_mosaic_holds_all_pixels_once():
    images = np.random.RandomState(0).rand(2, 3, 24)
    for shape in ((4, 6), (2, 4, 3)):
        combined = mosaic(images, shape)
        height, width = shape[:2]
        assert combined.shape[:2] == (2 * (height + 1) + 1, 3 * (width + 1) + 1)
        pixels = combined[~np.isnan(combined)]
        assert sorted(pixels) == sorted(images.ravel())


def test_classes_of_images_keep_their_order():
    classes = np.repeat(np.arange(12), 2)
    display = SamplesDisplay(
        np.repeat(classes[:, None], 4, axis=1), classes, image_shape=(2, 2)
    ).plot()
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert labels == [str(k) for k in range(12)]
    plotted = display.ax_.images[0].get_array()
    assert [plotted[3 * k + 1, 1] for k in range(12)] == list(range(12))


def test_images_of_an_autoencoder(vae):
    display = SamplesDisplay.from_estimator(vae, image_shape=(2, 2))
    assert display.ax_.get_title() == "Means of p(x | z), z from p(z)"
    seed = stream_seed(draw_seed(0), Stream.SAMPLE_Z)
    Z = np.random.default_rng(seed).standard_normal((10, 3))
    np.testing.assert_allclose(display.samples, vae.inverse_transform(Z), rtol=1e-6)
    display = SamplesDisplay.from_estimator(vae, image_shape=(2, 2), kind="draws")
    assert display.ax_.get_title() == "Draws from p(x)"
    np.testing.assert_array_equal(display.samples, vae.sample(10))


def test_columns_are_relative_frequencies_in_real_and_sampled_rows():
    frame = pd.DataFrame(X, columns=list("abcd")).assign(town=NAMES[TRUTH])
    frame.loc[::7, "b"] = np.nan
    clf = make_estimator().fit(frame, FEW)
    display = SamplesDisplay.from_estimator(clf, frame, features=["town", "b"])
    category_axes, number_axes = display.axes_.ravel()
    samples, _ = clf.sample(150)
    for container, rows in zip(category_axes.containers, (frame, samples), strict=True):
        shares = [bar.get_height() for bar in container]
        np.testing.assert_allclose(shares, [(rows["town"] == n).mean() for n in NAMES])
    for container in number_axes.containers:
        assert sum(bar.get_height() for bar in container) == pytest.approx(1)
    assert category_axes.get_title() == "town"
    display = SamplesDisplay.from_estimator(clf, n_samples=5)
    assert display.axes_.shape == (2, 4)


def test_single_axes_are_subdivided_and_an_array_of_axes_is_used(clf):
    figure, ax = plt.subplots()
    display = SamplesDisplay.from_estimator(clf, X, features=[0, 3], ax=ax)
    assert display.figure_ is figure
    assert display.axes_.shape == (1, 2)
    figure, axes = plt.subplots(1, 2)
    display = SamplesDisplay.from_estimator(clf, X, features=[0, 3], ax=axes)
    assert [*display.axes_.flat] == [*axes.flat]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"image_shape": (2, 3)},
            "image_shape=(2, 3) has 6 values per image, but rows have 4 columns.",
        ),
        (
            {"image_shape": (4,)},
            "image_shape must be (height, width), or (height, width, 3 or 4) for "
            "colours, got (4,).",
        ),
        (
            {"features": [7]},
            "features holds 7, which is not one of the columns [0, 1, 2, 3].",
        ),
        (
            {"features": []},
            "features is empty. Pass at least one column, or None.",
        ),
        (
            {"kind": "mean", "image_shape": (2, 2)},
            "kind must be 'auto', 'means' or 'draws', got 'mean'.",
        ),
        (
            {"kind": "means"},
            "kind='means' needs image_shape: the distribution of the means of a column "
            "is narrower than that of its values. Pass image_shape, or kind='draws'.",
        ),
        (
            {"n_samples": 0, "image_shape": (2, 2)},
            "n_samples must be at least 1, got 0.",
        ),
    ],
)
def test_invalid_arguments_of_the_samples_display(clf, arguments, message):
    with pytest.raises(ValueError) as error:
        SamplesDisplay.from_estimator(clf, **arguments)
    assert str(error.value) == message


@pytest.mark.parametrize("shape", ["ab", 4, (-2, -2), (2.0, 2.0), (4,), (1, 2, 2)])
def test_invalid_image_shapes(clf, shape):
    with pytest.raises(ValueError) as error:
        SamplesDisplay.from_estimator(clf, image_shape=shape)
    assert str(error.value) == (
        "image_shape must be (height, width), or (height, width, 3 or 4) for colours, "
        f"got {shape!r}."
    )


def test_too_few_axes(clf):
    _, axes = plt.subplots(1, 2)
    with pytest.raises(ValueError) as error:
        SamplesDisplay.from_estimator(clf, ax=axes)
    assert str(error.value) == (
        "ax holds 2 axes, but SamplesDisplay needs 4. Pass that many, single axes to "
        "subdivide, or None."
    )


# TrainingDisplay.


def test_curves_are_the_history():
    clf = make_estimator(
        validation_fraction=0.2, early_stopping=True, max_epochs=4
    ).fit(X, FEW)
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
    assert display.ax_.get_ylabel() == "nats per row"


def test_training_curves_of_each_model(clf_of_each_model):
    display = TrainingDisplay.from_estimator(clf_of_each_model)
    assert "bound" in display.terms_


def test_empty_histories_are_refused():
    with pytest.raises(ValueError) as error:
        TrainingDisplay([]).plot()
    assert str(error.value) == (
        "history is empty: no epoch has been completed. Fit the estimator for at least "
        "one epoch."
    )


@pytest.mark.parametrize("history", ["abc", [{"bound": 1.0}], [3]])
def test_invalid_histories(history):
    with pytest.raises(TypeError) as error:
        TrainingDisplay(history).plot()
    assert str(error.value) == (
        "history must hold a dict for each epoch, as history_ does, with its number as "
        f"'epoch', got {history[0]!r}."
    )


# TraversalDisplay.


def test_traversals_are_decoded_means(clf_of_each_model):
    clf = clf_of_each_model
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


def test_analogies_are_decoded_latent_means_of_rows(clf):
    display = TraversalDisplay.from_estimator(
        clf, X[:5], classes=["virginica"], image_shape=(2, 2)
    )
    expected = clf.inverse_transform(clf.transform(X[:5]), y="virginica")
    np.testing.assert_array_equal(display.decoded[0], expected)
    plotted = display.ax_.get_images()[0].get_array()
    np.testing.assert_array_equal(plotted[1:3, 1:3], X[0].reshape(2, 2))
    np.testing.assert_array_equal(plotted[4:6, 4:6], expected[1].reshape(2, 2))
    labels = [text.get_text() for text in display.ax_.get_yticklabels()]
    assert labels == ["row", "virginica"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"dimension": 3},
            "dimension must be from 0 to 2 for latent_size=3, got 3.",
        ),
        ({"n_points": 0}, "n_points must be at least 1, got 0."),
        (
            {"image_shape": (3, 3)},
            "image_shape=(3, 3) has 9 values per image, but rows have 4 columns.",
        ),
    ],
)
def test_invalid_arguments_of_the_traversal_display(clf, arguments, message):
    with pytest.raises(ValueError) as error:
        TraversalDisplay.from_estimator(clf, **arguments)
    assert str(error.value) == message


@pytest.mark.parametrize("display", DISPLAYS[1:])
def test_pipelines_are_refused(clf, display):
    pipeline = make_pipeline(StandardScaler(), clf)
    with pytest.raises(TypeError) as error:
        display.from_estimator(pipeline)
    attribute = {
        SamplesDisplay: "sample",
        TrainingDisplay: "history_",
        TraversalDisplay: "latent_size",
    }[display]
    assert str(error.value) == (
        f"{display.__name__} needs an SSVAEClassifier or a VariationalAutoencoder with "
        f"{attribute!r}, got Pipeline. For a pipeline, pass its last step, "
        "pipeline[-1], and rows transformed by the other steps, "
        "pipeline[:-1].transform(X)."
    )


@pytest.mark.parametrize("display", DISPLAYS)
def test_ax_must_be_axes(clf, display):
    arguments = (X,) if display is LatentSpaceDisplay else ()
    several = "" if display is LatentSpaceDisplay else ", an array of them"
    with pytest.raises(TypeError) as error:
        display.from_estimator(clf, *arguments, ax=3)
    assert str(error.value) == (
        f"ax must be matplotlib Axes{several} or None, got 3 of type int."
    )


@pytest.mark.parametrize("display", [SamplesDisplay, TrainingDisplay, TraversalDisplay])
def test_axes_outside_a_grid_are_subdivided(clf, display):
    outer = plt.figure().add_axes((0.1, 0.1, 0.8, 0.8))
    plotted = display.from_estimator(clf, ax=outer)
    assert plotted.figure_ is outer.figure
    boxes = [axes.get_position() for axes in plotted.axes_.flat]
    for box in boxes:
        assert outer.get_position().x0 <= box.x0 < box.x1 <= outer.get_position().x1
    lefts = [axes.get_position().x0 for axes in plotted.axes_[0]]
    assert lefts == sorted(set(lefts))


def test_traversals_of_an_autoencoder(vae):
    display = TraversalDisplay.from_estimator(vae, n_points=3)
    at_origin = vae.inverse_transform(np.zeros((1, 3)))[0]
    np.testing.assert_allclose(display.decoded[0, 1], at_origin, rtol=1e-6)
    with pytest.raises(ValueError) as error:
        TraversalDisplay.from_estimator(vae, classes=[1])
    assert str(error.value) == (
        "classes must be None for a VariationalAutoencoder, which has no classes, got "
        "[1]."
    )


def test_categorical_columns_cannot_be_plotted_as_curves():
    frame = pd.DataFrame({"a": X[:, 0], "b": pd.Categorical(NAMES[TRUTH])})
    clf = make_estimator().fit(frame, FEW)
    with pytest.raises(ValueError) as error:
        TraversalDisplay.from_estimator(clf)
    assert str(error.value) == (
        "TraversalDisplay needs numeric columns, but the columns ['b'] are not numeric."
    )


def test_sparse_rows_are_plotted():
    counts = csr_array(np.random.RandomState(0).poisson(1, (150, 4)))
    clf = make_estimator().fit(counts, FEW)
    display = TraversalDisplay.from_estimator(clf, counts[:3])
    np.testing.assert_array_equal(display.rows, counts[:3].toarray())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dimension": "a"}, "dimension must be an integer, got 'a' of type str."),
        ({"n_points": 2.5}, "n_points must be an integer, got 2.5 of type float."),
        ({"n_points": True}, "n_points must be an integer, got True of type bool."),
    ],
)
def test_numbers_of_a_traversal_must_be_integers(clf, arguments, message):
    with pytest.raises(TypeError) as error:
        TraversalDisplay.from_estimator(clf, **arguments)
    assert str(error.value) == message


# Comparison with stored images, of data that do not depend on training.

PLOTS = {
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
    reason="layout and fonts of the stored images are those of matplotlib 3.11",
)
@pytest.mark.parametrize("name", PLOTS)
def test_plots_equal_the_stored_images(name, tmp_path):
    """To update an image, save the figure with ``dpi=50`` and inspect it."""
    actual = tmp_path / f"{name}.png"
    PLOTS[name]().figure_.savefig(actual, dpi=50)
    assert compare_images(BASELINES / f"{name}.png", actual, tol=8) is None


def test_samples_of_arrow_tables_are_plotted():
    rows = pa.table({"a": np.arange(40) / 9, "b": ["x", "y"] * 20})
    vae = VariationalAutoencoder(2, hidden_sizes=(8,), max_epochs=1, random_state=0)
    display = SamplesDisplay.from_estimator(vae.fit(rows), X=rows)
    assert [axes.get_title() for axes in display.axes_.flat] == ["a", "b"]
    numbers = rows.select(["a"])
    with pytest.raises(ValueError, match=r"the columns \['b'\] are not numeric"):
        as_numbers(rows, "A display")
    np.testing.assert_array_equal(as_numbers(numbers, "A display")[:, 0], rows["a"])
