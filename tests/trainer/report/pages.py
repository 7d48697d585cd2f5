"""What a page must be, whatever stands in it."""

import re
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise

VOID = {"meta", "link", "br", "hr", "img", "input"}
OUTSIDE = re.compile(r"https?:|<script|<img|@import|url\(|javascript:")


class Checked(HTMLParser):
    """Reads a page and notes what a browser would have to mend."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []
        self.ids = Counter[str]()
        self.links: list[str] = []
        self.headings: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attributes]
        values = dict(attributes)
        if len(set(names)) != len(names):
            self.faults.append(f"<{tag}> has an attribute twice: {names}")
        if tag not in VOID:
            self.open.append(tag)
        if tag == "svg" and not (values.get("role") == "img" and values.get("aria-label")):
            self.faults.append("a picture without words")
        if "style" in values:
            self.faults.append(f"<{tag}> has a style of its own, which its policy forbids")
        if values.get("id"):
            self.ids[str(values["id"])] += 1
        if tag == "a":
            self.links.append(str(values.get("href")))
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing")


def check(page: str) -> None:
    """A page is well formed, has headings in order, asks for nothing, and holds no number that is none."""
    checked = Checked()
    checked.feed(page)
    checked.close()
    assert not checked.faults
    assert not checked.open
    assert not [one for one, times in checked.ids.items() if times > 1]
    assert all(link.startswith("#") and link[1:] in checked.ids for link in checked.links)
    assert checked.headings.count("h1") == 1
    assert checked.headings[0] == "h1"
    levels = [int(heading[1]) for heading in checked.headings]
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert not OUTSIDE.search(page)
    drawn = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    assert not re.search(r"\b(nan|inf|None)\b", drawn)
