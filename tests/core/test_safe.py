"""Hostile text reaches neither a terminal nor a shell."""

from __future__ import annotations

import subprocess
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from gmhealth.core.text import safe, safe_lines, shell_word
from tests.cli.world import HOSTILE

texts = st.text(st.characters(), max_size=60)


@given(texts)
def test_what_is_shown_has_nothing_that_steers_a_terminal(text: str) -> None:
    shown = safe(text)
    assert not [each for each in shown if unicodedata.category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert "\n" not in shown


@given(st.text(st.characters(categories=["L", "N", "P", "Zs", "M"]), max_size=60))
def test_harmless_text_is_shown_as_it_is(text: str) -> None:
    assert safe(text) == text


def test_every_control_character_stays_visible() -> None:
    assert safe("a\x1b[31mb\u202ec\U000e0041") == "a\\x1b[31mb\\u202ec\\U000e0041"
    assert safe(b"\xff\x00ok") == "\\xff\\x00ok"


def test_a_long_text_is_cut_and_says_how_long_it_is() -> None:
    assert safe("x" * 100_000, 10) == "x" * 10 + "… (100,000 characters)"
    assert safe("x" * 10, 10) == "x" * 10


def test_lines_of_a_message_stay_lines() -> None:
    assert safe_lines("one\n\x1btwo") == "one\n\\x1btwo"


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40))
def test_a_word_for_a_shell_is_that_word_again(text: str) -> None:
    word = shell_word(text)
    assert safe(word, 10**6) == word
    done = subprocess.run(
        ["bash", "-c", f"printf %s {word}"], capture_output=True, env={"LC_ALL": "C.UTF-8"}, check=True
    )
    assert done.stdout.decode() == text


def test_the_hostile_text_of_these_tests_is_hostile() -> None:
    assert safe(HOSTILE) != HOSTILE
    assert "\x1b" in HOSTILE
