"""The mapping of event types, against design 2.2 as it is written there (D1)."""

from __future__ import annotations

from gmhealth.core.mapping import EFFECTS, Effect, Summary

DESIGN = """
| `container_started` | `healthy` | none |
| `container_exited` | `exited` | running -> engine_unreachable |
| `container_oom` | `oom` | running -> engine_unreachable |
| `container_disappeared` | `disappeared` | running -> engine_unreachable |
| `inspect_unhealthy` | `inspect_unhealthy` | none |
| `probe_failed` | `probe_failed` | none |
| `probe_recovered` | `healthy` | engine_unreachable -> running |
"""


def as_in_the_design(effect: Effect) -> str:
    swap = effect.transition
    return f"`{effect.summary}` | {f'{swap.expected} -> {swap.target}' if swap else 'none'} |"


def test_the_mapping_is_the_designs() -> None:
    table = "".join(f"| `{kind}` | {as_in_the_design(effect)}\n" for kind, effect in EFFECTS.items())
    assert table.strip() == DESIGN.strip()


def test_every_summary_comes_from_some_event() -> None:
    assert {effect.summary for effect in EFFECTS.values()} == set(Summary)
