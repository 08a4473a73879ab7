"""Read the built site as a newcomer would: every page, in a browser, on desk and phone.

    python docs/read_site.py docs/_build/html [--pictures FOLDER]

First without a browser: links within the site have to lead to pages and places that
are there. Then the site is served on loopback and every page is opened in headless
Chromium, at 1280 pixels in light mode and at 390 in dark mode. It fails on errors in
the console, on files that are missing, on images that do not show, on pages wider than
the screen, and on text whose contrast is below what WCAG 2.1 asks for (1.4.3, AA).
Searching for SSVAEClassifier has to find its page of the reference. Nothing outside the
site is asked for: pages that need it fail.

Chromium is what CHROMIUM names, or what is on the path, or Playwright's own. Without
any the pages are not opened, which the last line says.
"""

import argparse
import os
import shutil
import sys
import threading
from collections import Counter
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

SEARCHED = "SSVAEClassifier"
FOUND = "api/generated/sk_ssvae.SSVAEClassifier.html"
SCREENS = {"desk": (1280, 900, "light"), "phone": (390, 844, "dark")}
"""Width, height and colours."""

# Elements whose own text has too little contrast, as "ratio tag.class: text".
CONTRAST = """
() => {
  const parse = c => (c.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const over = (top, below) => {
    const a = top.length > 3 ? top[3] : 1;
    return [0, 1, 2].map(i => a * top[i] + (1 - a) * below[i]);
  };
  const light = ([r, g, b]) => {
    const f = v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b);
  };
  const page = parse(getComputedStyle(document.body).backgroundColor);
  const base = page.length > 3 && page[3] === 0
    ? parse(getComputedStyle(document.documentElement).backgroundColor) : page;
  const poor = new Map();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode.textContent.trim();
    const el = texts.currentNode.parentElement;
    if (!text || !el.checkVisibility({checkOpacity: true, checkVisibilityCSS: true}))
      continue;
    if (el.closest("script, style, noscript, [aria-hidden=true], mjx-container"))
      continue;
    const box = el.getBoundingClientRect();
    if (box.width < 2 || box.height < 2) continue;
    const layers = [];
    for (let e = el; e; e = e.parentElement)
      layers.unshift(parse(getComputedStyle(e).backgroundColor));
    const below = layers.reduce((b, layer) => over(layer, b), base.slice(0, 3));
    const style = getComputedStyle(el);
    const [a, b] = [light(over(parse(style.color), below)), light(below)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(style.fontSize), bold = style.fontWeight >= 700;
    const least = size >= 24 || (bold && size >= 18.66) ? 3 : 4.5;
    if (ratio < least - 0.01) {
      const name = el.tagName.toLowerCase() + "." + [...el.classList].join(".");
      if (!poor.has(name))
        poor.set(name, `${ratio.toFixed(2)} ${name}: ${text.slice(0, 40)}`);
    }
  }
  return [...poor.values()];
}
"""

WIDE = """
() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return null;
  const widest = [...document.querySelectorAll("body *")]
    .map(e => [e.getBoundingClientRect().right, e])
    .sort((a, b) => b[0] - a[0])[0];
  const [right, e] = widest;
  return `${document.documentElement.scrollWidth} pixels wide, for ` +
    `${e.tagName.toLowerCase()}.${[...e.classList].join(".")}`;
}
"""

BROKEN_IMAGES = """
async () => {
  const images = [...document.images];
  for (const i of images) i.loading = "eager";
  await Promise.all(images.map(i => i.decode().catch(() => null)));
  return images.filter(i => i.naturalWidth === 0).map(i => i.src);
}
"""


def pages_of(site):
    """Paths of all pages; files of the theme among `_static` are none."""
    pages = (path.relative_to(site) for path in site.rglob("*.html"))
    return sorted(site / path for path in pages if path.parts[0] != "_static")


class Links(HTMLParser):
    """What a page links to, and the places in it that can be linked to."""

    def __init__(self, text):
        super().__init__()
        self.places, self.targets = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Note ids, links and sources."""
        attrs = dict(attrs)
        self.places |= {attrs[key] for key in ("id", "name") if attrs.get(key)}
        key = {"a": "href", "link": "href", "img": "src", "script": "src"}.get(tag)
        if attrs.get(key):
            self.targets.append(attrs[key])


def broken_links(site):
    """Links within the site that lead nowhere, and how many there are of each kind.

    Parameters
    ----------
    site : Path
        Folder of the built site.

    Returns
    -------
    broken : list of str
        "page: target".
    counts : Counter
        Links "within" and "outside" the site.
    """
    pages = {path: Links(path.read_text()) for path in pages_of(site)}
    broken, counts = [], Counter()
    for page, links in pages.items():
        for target in links.targets:
            url = urlsplit(target)
            if url.scheme or url.netloc:
                counts["outside"] += url.scheme in ("http", "https", "")
                continue
            counts["within"] += 1
            path = (page.parent / unquote(url.path)).resolve() if url.path else page
            if path.is_dir():
                path = path / "index.html"
            place = unquote(url.fragment)
            if not path.exists() or not path.is_relative_to(site):
                broken.append(f"{page.relative_to(site)}: {target}")
            elif place and path in pages and place not in pages[path].places:
                broken.append(f"{page.relative_to(site)}: {target} (no such place)")
    return broken, counts


class Quiet(SimpleHTTPRequestHandler):
    """Serve files without a word."""

    def log_message(self, *args):
        """Say nothing."""


def chromium():
    """Find a browser; None is Playwright's own."""
    given = os.environ.get("CHROMIUM")
    names = ("chromium", "chromium-browser", "google-chrome")
    return given or next(filter(None, map(shutil.which, names)), None)


def read_pages(browser, address, site, screen, pictures):
    """Open every page on a screen; return what is wrong, as "page (screen): ..."."""
    width, height, colours = SCREENS[screen]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=colours
    )
    page, wrong, said = context.new_page(), [], []
    page.on("console", lambda m: m.type == "error" and said.append(m.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on(
        "response", lambda r: r.status >= 400 and said.append(f"{r.status} {r.url}")
    )

    def stay_inside(route):
        if route.request.url.startswith((address, "data:", "blob:")):
            route.continue_()
        else:
            said.append(f"asks for {route.request.url}")
            route.abort()

    page.route("**/*", stay_inside)
    for path in pages_of(site):
        name = path.relative_to(site).as_posix()
        page.goto(f"{address}/{name}", wait_until="networkidle")
        said += [f"no image {source}" for source in page.evaluate(BROKEN_IMAGES)]
        said += filter(None, [page.evaluate(WIDE)])
        said += [f"contrast {poor}" for poor in page.evaluate(CONTRAST)]
        wrong += [f"{name} ({screen}): {what}" for what in said]
        said.clear()
        if pictures:
            picture = pictures / screen / f"{name.replace('/', '.')}.png"
            page.screenshot(path=picture, full_page=True)
    wrong += search(page, address)
    context.close()
    return wrong


def search(page, address):
    """Search as a reader would; return what is wrong."""
    page.goto(f"{address}/search.html?q={SEARCHED}", wait_until="networkidle")
    results = page.locator("#search-results a")
    try:
        results.first.wait_for(timeout=20_000)
    except Exception:
        return [f"search: nothing was found for {SEARCHED}"]
    page.wait_for_timeout(500)
    found = results.evaluate_all("all => all.map(a => a.href)")
    if not any(FOUND in link for link in found):
        return [f"search: {FOUND} is not among {len(found)} results for {SEARCHED}"]
    return []


def main():
    """Read the site; exit with 1 if something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("site", type=lambda name: Path(name).resolve())
    parser.add_argument(
        "--pictures", type=Path, help="folder for pictures of all pages"
    )
    args = parser.parse_args()
    n_pages = len(pages_of(args.site))
    if not n_pages:
        sys.exit(f"There are no pages in {args.site}: build the site first.")
    wrong, counts = broken_links(args.site)
    print(
        f"{n_pages} pages, {counts['within']} links within the site, {len(wrong)} of "
        f"them broken; {counts['outside']} links to other sites, not followed"
    )
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(args.site))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    opened = ""
    try:
        from playwright.sync_api import Error, sync_playwright

        with sync_playwright() as playwright:
            try:
                browser = playwright.chromium.launch(
                    executable_path=chromium(), args=["--no-sandbox"]
                )
            except Error as error:
                opened = f"NOT OPENED: no Chromium ({str(error).splitlines()[0]})"
            else:
                address = f"http://127.0.0.1:{server.server_port}"
                for screen in SCREENS:
                    if args.pictures:
                        (args.pictures / screen).mkdir(parents=True, exist_ok=True)
                    wrong += read_pages(
                        browser, address, args.site, screen, args.pictures
                    )
                opened = f"opened on {len(SCREENS)} screens in {browser.version}"
                browser.close()
    finally:
        server.shutdown()
    for what in wrong:
        print(what)
    print(f"{n_pages} pages, {opened}; {len(wrong)} things wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
