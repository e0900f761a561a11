"""The README is short, and each of its links leads somewhere."""

from __future__ import annotations

import re

from tests.daemon import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
MOST_LINES = 170
"""What a person reads in one go; the rest belongs into the man pages."""


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= MOST_LINES


def test_each_link_leads_somewhere() -> None:
    titles = re.findall(r"(?m)^#+ (.+)$", re.sub(r"(?s)```.*?```", "", README))
    anchors = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
    targets = re.findall(r"\]\(([^)]+)\)", README)
    assert len(targets) > 5
    for target in targets:
        assert target[1:] in anchors if target[0] == "#" else (ROOT / target).is_file(), target
