"""The checker of the built site finds problems of pages, and none in good pages."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "docs" / "read_site.py"
spec = importlib.util.spec_from_file_location("read_site", SCRIPT)
reader = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reader)

GOOD = (
    '<html lang="en"><head><title>t</title><link rel="icon" href="data:,">'
    '</head><body style="background: white; color: black">{}</body></html>'
)
REFERENCE = "api/generated/sk_ssvae.SSVAEClassifier.html"
SEARCH = f'<div id="search-results"><a href="{REFERENCE}">SSVAEClassifier</a></div>'
DOT = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4"
    "z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg=="
)


def site(folder, body="<p>Well.</p>", search=SEARCH):
    page = folder / REFERENCE
    page.parent.mkdir(parents=True)
    page.write_text(GOOD.format('<h1 id="top">SSVAEClassifier</h1>'))
    (folder / "search.html").write_text(GOOD.format(search))
    (folder / "index.html").write_text(GOOD.format(body))
    (folder / "_static").mkdir()
    (folder / "_static" / "macros.html").write_text('<a href="{{ nowhere }}">x</a>')
    return folder


def test_valid_links_are_counted(tmp_path):
    body = (
        f'<a href="{REFERENCE}#top">a</a> <a href="#here" id="here">b</a>'
        f' <a href="api/generated/../../search.html?q=x">c</a> <a href="https://a.b/">d</a>'
        f' <img src="{DOT}">'
    )
    broken, counts = reader.broken_links(site(tmp_path, body).resolve())
    assert broken == []
    assert counts == {"within": 4, "outside": 1}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('<a href="gone.html">a</a>', "index.html: gone.html"),
        ('<img src="gone.png">', "index.html: gone.png"),
        ('<script src="gone.js"></script>', "index.html: gone.js"),
        ('<a href="#gone">a</a>', "index.html: #gone (no such anchor)"),
        (
            f'<a href="{REFERENCE}#gone">a</a>',
            f"index.html: {REFERENCE}#gone (no such anchor)",
        ),
        ('<a href="../secret">a</a>', "index.html: ../secret"),
    ],
)
def test_broken_links_are_found(body, message, tmp_path):
    (tmp_path / "secret").write_text("outside of the site")
    broken, _ = reader.broken_links(site(tmp_path / "site", body).resolve())
    assert broken == [message]


def run_reader(folder):
    """Check a site in a browser; skip the test if there is none."""
    pytest.importorskip("playwright", reason="needs the extra docs")
    done = subprocess.run(
        [sys.executable, SCRIPT, folder], capture_output=True, text=True, check=False
    )
    if "NOT OPENED" in done.stdout:
        pytest.skip("no Chromium")
    return done


def test_a_site_without_pages_is_an_error(tmp_path):
    done = subprocess.run(
        [sys.executable, SCRIPT, tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"There are no pages in {tmp_path.resolve()}: build the site first.\n"
    )


@pytest.mark.slow
def test_a_good_site_has_no_problems(tmp_path):
    done = run_reader(site(tmp_path, f'<p>Well.</p><img src="{DOT}">'))
    assert done.stdout.endswith("; 0 problems\n"), done.stdout
    assert done.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "screens", "message"),
    [
        ("<script>console.error('woe')</script>", 2, "woe"),
        ("<script>throw new Error('woe')</script>", 2, "woe"),
        ('<script src="https://example.org/a.js"></script>', 2, "requests https://"),
        ('<img src="data:image/png;base64,AAAA">', 2, "broken image data:image/png"),
        ('<p style="width: 600px">wide</p>', 1, "608 pixels wide because of p."),
        ('<p style="color: #999">faint</p>', 2, "contrast 2.85 p.: faint"),
        (
            "<h1>a</h1><h2 style='font-size: 2em'>b</h2>",
            2,
            "h2 of 32 pixels, h1 of 32: b",
        ),
        (
            "<style>@media (prefers-color-scheme: dark) {p {background: #222}}</style>"
            "<p>dark</p>",
            1,
            "p.: dark",
        ),
    ],
    ids=[
        "console",
        "exception",
        "other-host",
        "image",
        "wide",
        "contrast",
        "headings",
        "dark",
    ],
)
def test_problems_of_a_page_are_found(body, screens, message, tmp_path):
    done = run_reader(site(tmp_path, body))
    assert done.returncode == 1
    found = [line for line in done.stdout.splitlines() if message in line]
    assert len({line.split(":")[0] for line in found}) == screens, done.stdout
    assert all(line.startswith("index.html (") for line in found)


@pytest.mark.slow
def test_a_search_without_the_expected_result_is_a_problem(tmp_path):
    other = '<div id="search-results"><a href="index.html">x</a></div>'
    done = run_reader(site(tmp_path, search=other))
    assert done.returncode == 1
    message = f"search: {REFERENCE} is not among 1 results for SSVAEClassifier"
    assert done.stdout.splitlines()[1:3] == [message, message]
