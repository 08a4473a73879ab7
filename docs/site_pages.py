"""Pages that are made of other files of the project whenever the site is built.

Tables come from the committed results of benchmarks, by the scripts that report them.
Pages of the guide are written to be read in the repository, too: their links to files
outside the site become links to the pages that are made of those.
"""

import functools
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from docutils import nodes

ROOT = Path(__file__).parent.parent
PANEL = ("accuracy.panel_report",)
REPORTS = {
    "Few labels on 21 data sets": PANEL,
    "MNIST": ("mnist.report",),
    "Columns of several kinds": ("accuracy.mixed_types", "--report"),
    "Calibration": ("accuracy.calibration", "--report"),
    "Shares of the classes that are known to shift": ("accuracy.shift", "--report"),
    "Choosing settings without labels to spare": ("accuracy.selection", "--report"),
    "Reliability": ("reliability.report",),
}
"""Headings, and what prints their tables."""

MAIN = "## Labels by class, at most 5,000 rows"
"""Of the panel's schemes the one to be read first."""

PICTURES = {
    "Mean ranks": "panel_ranks.png",
    "Accuracy by data set": "panel_heatmap.png",
    "MNIST with 100 labels": "mnist.png",
    "Learning curves": "learning_curves.png",
    "Time and the number of classes": "cost_classes.png",
    "Time and the number of rows": "cost_rows.png",
}
"""Drawn of the same results by benchmarks/."""

LINKS = {
    "(../benchmarks/README.md": "(made/benchmarks_in_full.md",
    "(../sk_ssvae/models/base.py)": "(api/generated/sk_ssvae.models.Model.rst)",
}
"""Beginnings of links in the repository, and what they are on the site."""


SCIKIT_LEARN = "https://scikit-learn.org/stable"
THEIRS = {
    "accuracy_score": "modules/model_evaluation.html#accuracy-score",
    "df_output_transform": "auto_examples/miscellaneous/plot_set_output.html",
    "meta-estimator": "glossary.html#term-meta-estimator",
    "metadata_routing": "metadata_routing.html",
    "sphx_glr_auto_examples_miscellaneous_plot_set_output.py": (
        "auto_examples/miscellaneous/plot_set_output.html"
    ),
}
"""What docstrings inherited from scikit-learn refer to, in its documentation."""


@functools.cache
def printed(name, *arguments):
    """Run a benchmark that prints tables of its results, and return its output."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", name, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def benchmarks_page():
    """Tables as the scripts print them, and plots."""
    lines = [
        "# Benchmarks",
        "",
        "The command above each table prints it, from results that are committed in",
        "`benchmarks/results/`, while the site is built. How they came about, and many",
        "more, is in [Benchmarks, in full](benchmarks_in_full.md). Accuracy is in %.",
        "",
        "```{toctree}",
        ":hidden:",
        "",
        "benchmarks_in_full",
        "```",
        "",
    ]
    for heading, (name, *arguments) in REPORTS.items():
        command = " ".join(["python -m benchmarks", name, *arguments])
        lines += [f"## {heading}", "", f"`{command}`", ""]
        text = printed(name, *arguments)
        if (name, *arguments) == PANEL:
            parts = ["## " + part for part in text.split("## ")[1:]]
            text = "".join(sorted(parts, key=lambda part: not part.startswith(MAIN)))
        lines += [as_markdown(text), ""]
    lines += ["## Plots", ""]
    for caption, name in PICTURES.items():
        lines += [f"![{caption}](../images/{name})", "", f"*{caption}*", ""]
    return "\n".join(lines)


def as_markdown(text):
    """Keep what scripts print apart from the tables in it."""
    out, before = [], ""
    for line in text.splitlines():
        is_row, was_row = line.startswith("|"), before.startswith("|")
        if is_row != was_row and out and out[-1]:
            out.append("")
        out.append(line if is_row else re.sub(r"^(#+) ", r"#\1 ", line))
        before = line
    return "\n".join(out)


def benchmarks_in_full():
    """Take the whole account of the benchmarks, with links that hold on the site."""
    text = (ROOT / "benchmarks" / "README.md").read_text()
    text = text.replace("(../docs/", "(../")
    return text.replace("# Benchmarks\n", "# Benchmarks, in full\n", 1)


def panel_tables():
    """Means by method, and the settings in which another method is better.

    Returns
    -------
    tables : dict of str
        By the name that a page asks for it by.
    """
    text = printed(*PANEL)
    part = text.split(MAIN)[1].split("\n## ")[0]

    def rows_after(title):
        lines = part.split(f"\n{title}", 1)[1].splitlines()
        first = next(i for i, line in enumerate(lines) if line.startswith("|"))
        rows = []
        for line in lines[first:]:
            if not line.startswith("|"):
                return rows
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
        return rows

    header, _, *means = rows_after("Held-out accuracy\n")
    kept = [header.index(name) for name in ("all settings", "5 labels", "20 labels")]
    kept += [header.index("seconds, median")]
    told = ("majority class", "LabelSpreading, best of 36 by the true labels")
    table = [["", *(header[i] for i in kept)], ["---"] * 5]
    table += [
        [row[0], *(row[i] for i in kept)]
        for row in means
        if row[header.index("settings")] == "42" and row[0] not in told
    ]

    header, _, *settings = rows_after("Held-out accuracy by setting")
    own = [i for i, name in enumerate(header) if name.startswith("SSVAEClassifier")]
    others = [
        i for i in range(2, len(header)) if i not in own and header[i] not in told
    ]
    losses = [["data", "labels a class", "SSVAEClassifier", "best other", "which"]]
    losses.append(["---"] * 5)
    for row in settings:
        accuracy = {i: float(row[i].strip("*")) for i in [own[0], *others] if row[i]}
        best = max((i for i in accuracy if i != own[0]), key=accuracy.__getitem__)
        if accuracy[best] > accuracy[own[0]] + 1:
            ours, theirs = (f"{accuracy[i]:.1f}" for i in (own[0], best))
            losses.append([row[0], row[1], ours, theirs, header[best]])
    return {"panel means": as_table(table), "panel losses": as_table(losses)}


def as_table(rows):
    """Write rows of cells as a table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def house_page():
    """Take the rooms by floor from the README, which a test holds to the code."""
    readme = (ROOT / "README.md").read_text()
    start = readme.index("| floor | room | idea |")
    return readme[start : readme.index("\n\n", start)] + "\n"


def changelog_page():
    """Point the changelog's links, those of the repository's root, at the site."""
    text = (ROOT / "CHANGELOG.md").read_text()
    return text.replace("](docs/", "](../")


def write_pages(app):
    """Write them where Sphinx reads them."""
    folder = Path(app.srcdir, "made")
    folder.mkdir(exist_ok=True)
    for name, make in {
        "benchmarks.md": benchmarks_page,
        "benchmarks_in_full.md": benchmarks_in_full,
        "house.txt": house_page,
        "changelog.md": changelog_page,
    }.items():
        text, path = make(), folder / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def finish_page(app, docname, source):
    """Put tables where a page asks for them, and have its links hold on the site."""
    text = source[0]
    if "<!-- site: " in text:
        for name, made in panel_tables().items():
            text = text.replace(f"<!-- site: {name} -->", made)
    for there, here in LINKS.items():
        text = text.replace(there, here)
    source[0] = re.sub(r"\(examples/(\w+)\.py\)", r"(gallery/\1.rst)", text)


EXAMPLES = (
    "digits",
    "latent_space",
    "analogies",
    "latent_size",
    "mixed_columns",
    "anomalies",
    "calibration",
    "convolution",
)
"""From the first steps to networks of one's own."""


class ExampleOrder:
    """Sort the files of the examples as `EXAMPLES` has them."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, name):
        """Place of a file; ValueError if it has none."""
        return EXAMPLES.index(name.removeprefix("plot_").removesuffix(".py"))


def link_to_scikit_learn(app, env, node, content):
    """Resolve what is scikit-learn's, without asking its site for an inventory."""
    target = node["reftarget"]
    place = THEIRS.get(target)
    if place is None and target.startswith("sklearn."):
        place = f"modules/generated/{target}.html"
    if place is None:
        return None
    link = nodes.reference("", "", internal=False, refuri=f"{SCIKIT_LEARN}/{place}")
    link += content
    return link


def example_arguments(gallery_conf, script_vars):
    """Have the examples that save their picture do so elsewhere."""
    if script_vars["src_file"].endswith(("plot_digits.py", "plot_latent_size.py")):
        return ["--out", str(Path(tempfile.mkdtemp(), "picture.png"))]
    return []


def tell_times(app, exception):
    """Say how long the examples took when they were last run."""
    for path in sorted(Path(app.srcdir, "gallery").glob("*.cost.json")):
        seconds = json.loads(path.read_text())["time"]
        print(f"{path.name.removesuffix('.cost.json')}: {seconds:.0f} s")


def setup(app):
    """Have the pages made first."""
    app.connect("builder-inited", write_pages, priority=100)
    app.connect("source-read", finish_page)
    app.connect("build-finished", tell_times)
    app.connect("missing-reference", link_to_scikit_learn)
    return {"parallel_read_safe": True, "version": "1"}
