"""Makes one book of pages from all over the repository, and checks what came of it.

    book.py                 the preprocessor that `book.toml` names: pages outside `docs/` get a place in the book, links
                            lead there, and files that an example's page links to are shown at its end
    book.py check FOLDER    every link between the HTML pages below the folder leads somewhere; exit code 1 if not
"""

import html.parser
import json
import pathlib
import posixpath
import re
import sys
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^()\s]+)\)")
FENCED = re.compile(r"^(`{3,}).*?^\1`*$", re.MULTILINE | re.DOTALL)
LANGUAGES = {"py": "python", "sh": "sh", "ts": "typescript", "json": "json", "yaml": "yaml", "yml": "yaml", "md": "markdown"}


def place(path):
    """Where a file of the repository lies in the book."""
    return path.removeprefix("docs/")


def chapters(items):
    for item in items:
        if isinstance(item, dict) and "Chapter" in item:
            yield item["Chapter"]
            yield from chapters(item["Chapter"]["sub_items"])


def source(chapter):
    """The page's path in the repository."""
    return posixpath.normpath(posixpath.join("docs", chapter["path"]))


def rewrite(chapter, pages):
    here, shown = source(chapter), []
    folder = posixpath.dirname(place(here))

    def link(match):
        text, target = match[1], match[2]
        if re.match(r"[a-z]+:|#", target):
            return match[0]
        name, _, anchor = target.partition("#")
        file = posixpath.normpath(posixpath.join(posixpath.dirname(here), name))
        if (ROOT / file).is_dir() and f"{file}/README.md" in pages:
            file = f"{file}/README.md"
        if file in pages:
            to = posixpath.relpath(place(file), folder or ".")
            return f"[{text}]({re.sub(r'README.md$', 'index.md', to)}{'#' if anchor else ''}{anchor})"
        if file.startswith("docs/"):
            return f"[{text}]({posixpath.relpath(place(file), folder or '.')})"
        if file.startswith("examples/") and (ROOT / file).is_file():
            if file not in shown:
                shown.append(file)
            return f"[{text}](#{slug(posixpath.relpath(file, posixpath.dirname(here)))})"
        # A file of the checkout, which the book does not hold.
        return text

    text = chapter["content"]
    fences = [match.span() for match in FENCED.finditer(text)]
    inside = lambda at: any(begin <= at < end for begin, end in fences)
    chapter["content"] = LINK.sub(lambda match: match[0] if inside(match.start()) else link(match), text)
    for file in shown:
        name = posixpath.relpath(file, posixpath.dirname(here))
        text = (ROOT / file).read_text(encoding="utf-8")
        chapter["content"] += f"\n## {name}\n\n````{LANGUAGES.get(name.rsplit('.')[-1], 'text')}\n{text}````\n"


def slug(title):
    kept = (c for c in title.lower() if c.isalnum() or c in "-_ ")
    return "".join(kept).replace(" ", "-")


def preprocess():
    _, book = json.load(sys.stdin)
    found = list(chapters(book["items"]))
    pages = {source(chapter) for chapter in found}
    for chapter in found:
        rewrite(chapter, pages)
    for chapter in found:
        chapter["path"] = place(source(chapter))
    json.dump(book, sys.stdout)


class Page(html.parser.HTMLParser):
    """The ids and links of a page."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.ids |= {attributes[name] for name in ("id", "name") if attributes.get(name)}
        if tag == "a" and attributes.get("href"):
            self.links.append(attributes["href"])


def check(folder):
    pages = {path.resolve(): Page(path.read_text(encoding="utf-8")) for path in folder.rglob("*.html")}
    bad, count = [], 0
    for path, page in pages.items():
        # They are said relative to the site's root, wherever that is.
        if path.name in ("404.html", "toc.html"):
            continue
        for link in page.links:
            if re.match(r"[a-z]+:", link):
                continue
            count += 1
            name, _, anchor = urllib.parse.unquote(link).partition("#")
            target = (path.parent / name).resolve() if name else path
            if not target.is_file() or (anchor and target in pages and anchor not in pages[target].ids):
                bad.append(f"{path.relative_to(folder.resolve())}: {link}")
    print(f"{len(pages)} pages, {count} links", *bad, sep="\n")
    sys.exit(1 if bad or count == 0 else 0)


if sys.argv[1:2] == ["supports"]:
    sys.exit(0)
elif sys.argv[1:2] == ["check"]:
    check(pathlib.Path(sys.argv[2]))
else:
    preprocess()
