"""Check the built site: its links, and every page in a browser at two screen sizes.

    python docs/read_site.py docs/_build/html [--pictures FOLDER]

Links within the site have to lead to existing pages and anchors. Then the site is
served on the loopback interface, and every page is opened in headless Chromium, at a
width of 1280 pixels in light mode and of 390 pixels in dark mode. Console errors,
missing files, broken images, pages wider than the screen, headings that are not smaller
than those of the level above, and text with a contrast below WCAG 2.1 (1.4.3, AA) are
reported, and the exit status is 1. A search for
SSVAEClassifier has to find its reference page. Requests to other hosts are blocked and
reported.

Chromium is the executable named by the environment variable CHROMIUM, one on the path,
or Playwright's own. Without Chromium the pages are not opened, as the last line of the
output says.
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

SEARCH_TERM = "SSVAEClassifier"
SEARCH_RESULT = "api/generated/sk_ssvae.SSVAEClassifier.html"
SCREENS = {"desktop": (1280, 900, "light"), "phone": (390, 844, "dark")}
"""Width, height and colour scheme."""

# Returns elements whose text has too little contrast, as "ratio tag.class: text".
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

TOO_WIDE = """
() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return null;
  const widest = [...document.querySelectorAll("body *")]
    .map(e => [e.getBoundingClientRect().right, e])
    .sort((a, b) => b[0] - a[0])[0];
  const [right, e] = widest;
  return `${document.documentElement.scrollWidth} pixels wide because of ` +
    `${e.tagName.toLowerCase()}.${[...e.classList].join(".")}`;
}
"""

# Returns a heading that is not smaller than one of the level above, or null.
HEADINGS = """
() => {
  const size = e => parseFloat(getComputedStyle(e).fontSize);
  const all = [...document.querySelectorAll("h1, h2, h3, h4")]
    .filter(e => e.checkVisibility());
  const level = e => Number(e.tagName[1]);
  for (const above of all)
    for (const below of all)
      if (level(below) === level(above) + 1 && size(below) >= size(above))
        return `h${level(below)} of ${size(below)} pixels, ` +
          `h${level(above)} of ${size(above)}: ${below.textContent}`;
  return null;
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
    """Return the paths of all pages; HTML files in `_static` are parts of the theme."""
    pages = (path.relative_to(site) for path in site.rglob("*.html"))
    return sorted(site / path for path in pages if path.parts[0] != "_static")


class Links(HTMLParser):
    """Targets of the links of a page, and its anchors."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.targets = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Collect anchors, links and sources."""
        attrs = dict(attrs)
        self.anchors |= {attrs[key] for key in ("id", "name") if attrs.get(key)}
        key = {"a": "href", "link": "href", "img": "src", "script": "src"}.get(tag)
        if attrs.get(key):
            self.targets.append(attrs[key])


def broken_links(site):
    """Find broken links within the site, and count links.

    Parameters
    ----------
    site : Path
        Folder of the built site.

    Returns
    -------
    broken : list of str
        "page: target".
    counts : Counter
        Number of links "within" and "outside" the site.
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
            anchor = unquote(url.fragment)
            if not path.exists() or not path.is_relative_to(site):
                broken.append(f"{page.relative_to(site)}: {target}")
            elif anchor and path in pages and anchor not in pages[path].anchors:
                broken.append(f"{page.relative_to(site)}: {target} (no such anchor)")
    return broken, counts


class QuietHandler(SimpleHTTPRequestHandler):
    """Serve files without printing requests."""

    def log_message(self, *args):
        """Print nothing."""


def find_chromium():
    """Return the path of Chromium; None stands for Playwright's own."""
    path = os.environ.get("CHROMIUM")
    names = ("chromium", "chromium-browser", "google-chrome")
    return path or next(filter(None, map(shutil.which, names)), None)


def read_pages(browser, address, site, screen, pictures):
    """Open every page at a screen size; return problems, as "page (screen): ..."."""
    width, height, colour_scheme = SCREENS[screen]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=colour_scheme
    )
    page, problems, messages = context.new_page(), [], []
    page.on("console", lambda m: m.type == "error" and messages.append(m.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on(
        "response", lambda r: r.status >= 400 and messages.append(f"{r.status} {r.url}")
    )

    def block_other_hosts(route):
        if route.request.url.startswith((address, "data:", "blob:")):
            route.continue_()
        else:
            messages.append(f"requests {route.request.url}")
            route.abort()

    page.route("**/*", block_other_hosts)
    for path in pages_of(site):
        name = path.relative_to(site).as_posix()
        page.goto(f"{address}/{name}", wait_until="networkidle")
        messages += [f"broken image {url}" for url in page.evaluate(BROKEN_IMAGES)]
        messages += filter(None, [page.evaluate(TOO_WIDE), page.evaluate(HEADINGS)])
        messages += [f"contrast {text}" for text in page.evaluate(CONTRAST)]
        problems += [f"{name} ({screen}): {message}" for message in messages]
        messages.clear()
        if pictures:
            picture = pictures / screen / f"{name.replace('/', '.')}.png"
            page.screenshot(path=picture, full_page=True)
    problems += check_search(page, address)
    context.close()
    return problems


def check_search(page, address):
    """Search for a term; return a problem if the expected page is not found."""
    page.goto(f"{address}/search.html?q={SEARCH_TERM}", wait_until="networkidle")
    results = page.locator("#search-results a")
    try:
        results.first.wait_for(timeout=20_000)
    except Exception:
        return [f"search: no results for {SEARCH_TERM}"]
    page.wait_for_timeout(500)
    links = results.evaluate_all("all => all.map(a => a.href)")
    if not any(SEARCH_RESULT in link for link in links):
        found = f"{len(links)} results for {SEARCH_TERM}"
        return [f"search: {SEARCH_RESULT} is not among {found}"]
    return []


def main():
    """Check the site; exit with status 1 if there is a problem."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("site", type=lambda name: Path(name).resolve())
    parser.add_argument(
        "--pictures", type=Path, help="folder for screenshots of all pages"
    )
    args = parser.parse_args()
    n_pages = len(pages_of(args.site))
    if not n_pages:
        sys.exit(f"There are no pages in {args.site}: build the site first.")
    problems, counts = broken_links(args.site)
    print(
        f"{n_pages} pages, {counts['within']} links within the site, {len(problems)} "
        f"of them broken; {counts['outside']} links to other sites, not checked"
    )
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(QuietHandler, directory=str(args.site))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    status = ""
    try:
        from playwright.sync_api import Error, sync_playwright

        with sync_playwright() as playwright:
            try:
                browser = playwright.chromium.launch(
                    executable_path=find_chromium(), args=["--no-sandbox"]
                )
            except Error as error:
                status = f"NOT OPENED: no Chromium ({str(error).splitlines()[0]})"
            else:
                address = f"http://127.0.0.1:{server.server_port}"
                for screen in SCREENS:
                    if args.pictures:
                        (args.pictures / screen).mkdir(parents=True, exist_ok=True)
                    problems += read_pages(
                        browser, address, args.site, screen, args.pictures
                    )
                status = f"opened at {len(SCREENS)} screen sizes in {browser.version}"
                browser.close()
    finally:
        server.shutdown()
    for problem in problems:
        print(problem)
    print(f"{n_pages} pages, {status}; {len(problems)} problems")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
