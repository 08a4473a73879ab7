"""The summary of a fit as HTML, for notebooks."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import sklearn
from summaries import SUMMARY

from sk_ssvae import VariationalAutoencoder
from sk_ssvae.estimators.summary import MAX_FOLDED, MAX_VIEWS
from sk_ssvae.estimators.summary_format import Entry, Table, as_html, as_text

HOSTILE = "<script>alert('x' & \"y\")</script></td><img src=x onerror=alert(1)>"
ALLOWED = {
    *("div", "style", "table", "caption", "thead", "tbody", "tr", "th", "td"),
    *("details", "summary"),
}


class Page(HTMLParser):
    """Checks that tags are balanced, and collects tags, attributes and texts."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts = [], [], [], []
        self.shown = []  # texts outside of folded details
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1] != "style":
            self.texts.append(data)
            if "details" not in self.open or self.open[-1] == "summary":
                self.shown.append(data)


def words(texts):
    return " ".join(texts).split()


def rows_of(html, tag):
    """Return the texts of the cells by row, of each row in the first `tag`."""
    inner = html.split(f"<{tag}>", 1)[1].split(f"</{tag}>")[0]
    return [
        re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)
        for row in re.findall(r"<tr>(.*?)</tr>", inner)
    ]


def many(n_views=8, n_classes=13, n_columns=7):
    """Return a summary with more of everything than the text lists."""
    prior = {f"class {i}": 1 / n_classes for i in range(n_classes)}
    views = {f"view {i}": 0.1 for i in range(n_views)}
    return replace(
        SUMMARY,
        label_counts=dict.fromkeys(prior, 2),
        class_prior=prior,
        labeled_shares=prior,
        unlabeled_shares=None,
        view_weights=views,
        view_log_loss=dict.fromkeys(views, 0.5),
        likelihood={
            "gaussian": [f"g{i}" for i in range(n_columns)],
            "poisson": ["counts"],
        },
    )


@pytest.mark.parametrize(
    "summary",
    [
        SUMMARY,
        many(),
        replace(SUMMARY, choices={}, warnings=None, view_weights={}),
        replace(SUMMARY, n_samples=None, label_counts=None, class_prior=None),
        replace(SUMMARY, likelihood={HOSTILE: [HOSTILE, "b"], "poisson": ["c"]}),
    ],
    ids=["all", "many", "few", "autoencoder", "hostile"],
)
def test_the_html_has_all_words_of_the_text_in_their_order(summary):
    page = Page(summary._repr_html_())
    shown = iter(words(page.shown))
    for word in str(summary).split():
        assert word in shown, word  # consumes the words up to this one


@pytest.mark.parametrize("summary", [SUMMARY, many()])
def test_the_html_is_static_and_needs_no_other_file(summary):
    html = summary._repr_html_()
    page = Page(html)
    assert set(page.tags) <= ALLOWED
    assert {name for _, name, _ in page.attributes} <= {"class", "scope", "aria-label"}
    style = html.split("<style>")[1].split("</style>")[0]
    assert not re.search(r"url\(|@import|expression|https?:", style)
    # Rules are for the summary only, and take the colours of the page.
    for selector in re.findall(r"([^{}]+)\{", style):
        for part in re.split(r",(?![^(]*\))", selector):
            assert part.strip().startswith(".sk-ssvae-summary")
    colors = re.findall(r"(?<![\w-])(?:color|background): *([^;]+);", style)
    assert set(colors) == {"inherit", "none"}


def test_headings_and_tables_are_labelled():
    page = Page(SUMMARY._repr_html_())
    assert page.tags.count("caption") == 1
    assert page.texts[0] == "SSVAEClassifier (m2)"
    scopes = [value for _, name, value in page.attributes if name == "scope"]
    assert len(scopes) == page.tags.count("th")
    assert set(scopes) == {"row", "col"}
    labels = [value for _, name, value in page.attributes if name == "aria-label"]
    assert labels == [
        "likelihood, all columns",
        "class prior, class",
        "teacher, view",
        "choices, all automatic choices",
    ]
    assert len(labels) == page.tags.count("table") - 1


def with_names(name):
    """Return a summary in which the user and classes of the user chose all names."""
    return replace(
        SUMMARY,
        estimator=name,
        model=name,
        likelihood={"gaussian": [name], name: ["q"]},
        label_counts={name: 10, "b": 5},
        class_prior={name: 0.6, "b": 0.4},
        labeled_shares={name: 0.6, "b": 0.4},
        unlabeled_shares={name: 0.6, "b": 0.4},
        teacher=name,
        view_weights={name: 1.0},
        view_log_loss={name: 1.0},
        device=name,
        choices={"class_prior": name, name: name},
        warnings=[name],
    )


def test_texts_of_the_user_are_escaped():
    hostile, plain = (Page(with_names(n)._repr_html_()) for n in (HOSTILE, "@name"))
    assert hostile.tags == plain.tags
    assert hostile.attributes == plain.attributes
    assert hostile.texts == [text.replace("@name", HOSTILE) for text in plain.texts]
    assert "".join(plain.texts).count("@name") == 15


def test_a_label_for_screen_readers_is_escaped():
    table = Table('"><b>', ["a"], {})
    page = Page(as_html("title", [Entry('n"><i>', "", table)]))
    assert set(page.tags) <= ALLOWED
    assert ("table", "aria-label", 'n"><i>, "><b>') in page.attributes


def test_details_are_folded():
    summary = many(n_views=8, n_classes=13, n_columns=7)
    page = Page(summary._repr_html_())
    folded = words(page.texts)[:]
    for word in words(page.shown):
        folded.remove(word)
    for name in [*(f"g{i}," for i in range(6)), "g6", "counts"]:
        assert name in folded
    assert sum(word == "class" for word in folded) == 13 + 1  # and a heading
    assert page.tags.count("details") == 4  # with the choices
    hidden = Page(summary._repr_html_()).texts
    assert hidden.index(f"view {MAX_VIEWS - 1}") < hidden.index("and 3 more")
    assert hidden.index("and 3 more") < hidden.index(f"view {MAX_VIEWS}")
    assert "view 7" not in str(summary)


def test_what_is_folded_is_limited():
    n = MAX_FOLDED + 3
    html = many(n_views=MAX_VIEWS + n, n_classes=n, n_columns=n)._repr_html_()
    texts = Page(html).texts
    assert f"g{MAX_FOLDED - 1} and 3 more" in " ".join(texts)
    assert f"the first {MAX_FOLDED}" in texts
    assert f"class {MAX_FOLDED - 1}" in texts
    assert f"class {MAX_FOLDED}" not in texts
    assert f"view {MAX_VIEWS + MAX_FOLDED - 1}" in texts
    assert f"view {MAX_VIEWS + MAX_FOLDED}" not in texts


def test_the_cells_of_a_table():
    columns = {"x": ({1: 0.25, "b": 12.0}, ".1f"), "y": (None, ""), "z": ({}, "")}
    table = Table("name", [1, "b"], columns | {"z": ({1: "p", "b": "q"}, "")})
    assert table.cells() == [["name", "x", "z"], ["1", "0.2", "p"], ["b", "12.0", "q"]]
    html = as_html("title", [Entry("entry", "text", table, "more")])
    assert html.count('<td class="number">') == 2  # x; z has no format
    assert rows_of(html, "thead") == [["name", "x", "z"]]
    assert rows_of(html.split("</thead>")[1], "tbody") == table.cells()[1:]
    assert "<div>more</div>" in html
    assert as_text("title", [Entry("entry", "text", table, "more")]).splitlines() == [
        "title",
        "entry           text",
        "  name     x  z",
        "  1      0.2  p",
        "  b     12.0  q",
        "  more",
    ]


def test_an_entry_without_parts_is_left_out():
    entries = [Entry("empty", ""), Entry("full", "text")]
    assert Page(as_html("title", entries)).texts == ["title", "full", "text"]
    assert as_text("title", entries) == "title\nfull            text"


def test_the_setting_of_scikit_learn():
    with sklearn.config_context(display="text"):
        assert SUMMARY._repr_html_() is None
    with sklearn.config_context(display="diagram"):
        assert SUMMARY._repr_html_().startswith('<div class="sk-ssvae-summary">')


def test_the_columns_of_a_fitted_estimator():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"<b>size</b>": rng.normal(size=40), "kind": pd.Categorical([*"abcd"] * 10)}
    )
    vae = VariationalAutoencoder(2, max_epochs=1, random_state=0).fit(frame)
    texts = Page(vae.summary()._repr_html_()).texts
    at = texts.index("all columns")
    assert texts[at + 1 : at + 7] == [
        *("likelihood", "columns"),
        *("gaussian", "<b>size</b>"),
        *("categorical", "kind"),
    ]
