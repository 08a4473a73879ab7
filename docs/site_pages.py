"""Sphinx extension: pages generated from other files of the project.

Tables come from the committed results of the benchmarks, printed by the benchmarks'
own reports. The pages of the guide can also be read in the repository; their links to
files outside the site are replaced by links to the generated pages.
"""

import functools
import json
import re
import subprocess
import sys
from pathlib import Path

from docutils import nodes

ROOT = Path(__file__).parent.parent
PANEL = ("accuracy.panel_report",)
REPORTS = {
    "Few labels on 21 data sets": PANEL,
    "MNIST": ("mnist.report",),
    "Mixed data": ("accuracy.mixed_types", "--report"),
    "Calibration": ("accuracy.calibration", "--report"),
    "Shifted class frequencies": ("accuracy.shift", "--report"),
    "Model selection with few labels": ("accuracy.selection", "--report"),
    "Reliability": ("reliability.report",),
}
"""Headings, and the benchmarks that print their tables, with arguments."""

MAIN = "## Labels by class, at most 5,000 rows"
"""The section of the panel's report that comes first."""

PICTURES = {
    "Mean ranks": "panel_ranks.png",
    "Accuracy by data set": "panel_heatmap.png",
    "MNIST with 100 labels": "mnist.png",
    "Learning curves": "learning_curves.png",
    "Time and the number of classes": "cost_classes.png",
    "Time and the number of rows": "cost_rows.png",
}
"""Captions and files of the figures, drawn by the benchmarks from the same results."""

LINKS = {
    "(../benchmarks/README.md": "(made/benchmarks_in_full.md",
    "(../sk_ssvae/models/base.py)": "(api/generated/sk_ssvae.models.VAEModule.rst)",
    "(../CONTRIBUTING.md)": "(made/contributing.md)",
    "(../SECURITY.md)": "(made/security.md)",
}
"""Beginnings of links in the repository, and their replacements on the site."""


SCIKIT_LEARN = "https://scikit-learn.org/stable"
SCIKIT_LEARN_PAGES = {
    "accuracy_score": "modules/model_evaluation.html#accuracy-score",
    "df_output_transform": "auto_examples/miscellaneous/plot_set_output.html",
    "meta-estimator": "glossary.html#term-meta-estimator",
    "metadata_routing": "metadata_routing.html",
    "sphx_glr_auto_examples_miscellaneous_plot_set_output.py": (
        "auto_examples/miscellaneous/plot_set_output.html"
    ),
}
"""Targets of references in inherited docstrings, in scikit-learn's documentation."""


@functools.cache
def run_report(benchmark, *arguments):
    """Return the tables that a benchmark prints from its results."""
    command = ["-m", "benchmarks", benchmark, *arguments]
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise RuntimeError(
            f"python {' '.join(command)} ended with status {done.returncode}:\n"
            f"{done.stderr}"
        )
    return done.stdout


def benchmarks_page():
    """Return the page with the reports of the benchmarks and their figures."""
    lines = [
        "# Benchmarks",
        "",
        "The command above each table prints it from the results in",
        "`benchmarks/results/`, and was run when this site was built. Methods and",
        "further tables are in [Benchmarks, in full](benchmarks_in_full.md). Accuracy",
        "is in %.",
        "",
        "```{toctree}",
        ":hidden:",
        "",
        "benchmarks_in_full",
        "```",
        "",
    ]
    for heading, report in REPORTS.items():
        command = " ".join(["python -m benchmarks", *report])
        lines += [f"## {heading}", "", f"`{command}`", ""]
        text = run_report(*report)
        if report == PANEL:
            parts = ["## " + part for part in text.split("## ")[1:]]
            text = "".join(sorted(parts, key=lambda part: not part.startswith(MAIN)))
        lines += [as_markdown(text), ""]
    lines += ["## Figures", ""]
    for caption, name in PICTURES.items():
        lines += [f"![{caption}](../images/{name})", "", f"*{caption}*", ""]
    return "\n".join(lines)


def as_markdown(text):
    """Separate tables from other lines, and lower headings by one level."""
    out, before = [], ""
    for line in text.splitlines():
        is_row, was_row = line.startswith("|"), before.startswith("|")
        if is_row != was_row and out and out[-1]:
            out.append("")
        out.append(line if is_row else re.sub(r"^(#+) ", r"#\1 ", line))
        before = line
    return "\n".join(out)


def benchmarks_in_full():
    """Return the README of the benchmarks, with links for the site."""
    text = (ROOT / "benchmarks" / "README.md").read_text()
    text = text.replace("(../docs/", "(../")
    return text.replace("# Benchmarks\n", "# Benchmarks, in full\n", 1)


def read_table(text, title):
    """Return the rows of the first table after a line that starts with `title`."""
    lines = text.split(f"\n{title}", 1)[1].splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[first:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def panel_tables():
    """Return tables of the panel: means by method, and settings with better methods.

    Returns
    -------
    tables : dict of str
        Markdown tables, by the name in the comments of a page.
    """
    panel = run_report(*PANEL).split(MAIN)[1].split("\n## ")[0]
    # Not methods that can be used: they need the true labels, or no rows at all.
    left_out = (
        "majority class",
        "LabelSpreading, best of 36 by the true labels",
        "Poisson-MBO, told the true class sizes",
    )

    header, _, *means = read_table(panel, "Held-out accuracy\n")
    columns = ("all settings", "5 labels", "20 labels", "seconds, median")
    kept = [header.index(name) for name in columns]
    table = [["", *columns], ["---"] * 5]
    table += [
        [row[0], *(row[i] for i in kept)]
        for row in means
        if row[header.index("settings")] == "42" and row[0] not in left_out
    ]

    header, _, *settings = read_table(panel, "Held-out accuracy by setting")
    own = [i for i, name in enumerate(header) if name.startswith("SSVAEClassifier")]
    others = [
        i for i in range(2, len(header)) if i not in own and header[i] not in left_out
    ]
    losses = [["data", "labels per class", "SSVAEClassifier", "best other", "method"]]
    losses.append(["---"] * 5)
    for row in settings:
        accuracy = {i: float(row[i].strip("*° ")) for i in [own[0], *others] if row[i]}
        best = max((i for i in accuracy if i != own[0]), key=accuracy.__getitem__)
        if accuracy[best] > accuracy[own[0]] + 1:
            both = (f"{accuracy[i]:.1f}" for i in (own[0], best))
            losses.append([row[0], row[1], *both, header[best]])
    return {"panel means": as_table(table), "panel losses": as_table(losses)}


def as_table(rows):
    """Format rows of cells as a Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


TOP_LEVEL = ("CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "SECURITY.md")
"""Pages of the repository's root that are also pages of the site, in lower case."""


def top_level_page(name):
    """Return a page of the repository's root, with links for the site."""
    text = (ROOT / name).read_text().replace("](docs/", "](../")
    for page in TOP_LEVEL:
        text = text.replace(f"]({page})", f"]({page.lower()})")
    return text.replace("](benchmarks/README.md)", "](benchmarks_in_full.md)")


def write_pages(app):
    """Write the generated pages to a folder that Sphinx reads."""
    folder = Path(app.srcdir, "made")
    folder.mkdir(exist_ok=True)
    pages = {
        "benchmarks.md": benchmarks_page(),
        "benchmarks_in_full.md": benchmarks_in_full(),
        **{name.lower(): top_level_page(name) for name in TOP_LEVEL},
    }
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def finish_page(app, docname, source):
    """Insert generated tables into a page, and adapt its links."""
    text = source[0]
    if "<!-- site: " in text:
        for name, table in panel_tables().items():
            text = text.replace(f"<!-- site: {name} -->", table)
    for link, replacement in LINKS.items():
        text = text.replace(link, replacement)
    source[0] = re.sub(r"\(examples/(\w+)\.py\)", r"(gallery/\1.rst)", text)


EXAMPLES = (
    "digits",
    "latent_space",
    "analogies",
    "mixed_columns",
    "anomalies",
    "documents",
    "active_learning",
    "class_shares",
    "thresholds",
    "calibration",
    "explanation",
    "latent_size",
    "views",
    "convolution",
    "streaming",
    "onnx",
)
"""The examples in the order of the gallery, from basic to advanced."""


class ExampleOrder:
    """Sort the files of the examples by `EXAMPLES`."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, name):
        """Return the position of a file; ValueError if it is not in `EXAMPLES`."""
        return EXAMPLES.index(name.removeprefix("plot_").removesuffix(".py"))


def link_to_scikit_learn(app, env, node, content):
    """Resolve references to scikit-learn without downloading its inventory."""
    target = node["reftarget"]
    page = SCIKIT_LEARN_PAGES.get(target)
    if page is None and target.startswith("sklearn."):
        page = f"modules/generated/{target}.html"
    if page is None:
        return None
    link = nodes.reference("", "", internal=False, refuri=f"{SCIKIT_LEARN}/{page}")
    link += content
    return link


def print_times(app, exception):
    """Print how long the examples took when they were last run."""
    for path in sorted(Path(app.srcdir, "gallery").glob("*.cost.json")):
        seconds = json.loads(path.read_text())["time"]
        print(f"{path.name.removesuffix('.cost.json')}: {seconds:.0f} s")


def setup(app):
    """Connect the functions of this module to Sphinx's events."""
    app.connect("builder-inited", write_pages, priority=100)
    app.connect("source-read", finish_page)
    app.connect("build-finished", print_times)
    app.connect("missing-reference", link_to_scikit_learn)
    return {"parallel_read_safe": True, "version": "1"}
