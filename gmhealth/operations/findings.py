"""What a check of `gmhealth doctor` found."""

from __future__ import annotations

from gmhealth.operations.models import CheckView


def ok(name: str, found: object) -> CheckView:
    """All is well."""
    return CheckView(name=name, result="ok", found=str(found))


def judged(name: str, good: bool, found: object, hint: str, *, bad: str = "fail") -> CheckView:  # noqa: FBT001  # what it is about
    """All is well, or it is `bad` and `hint` says what to do."""
    return ok(name, found) if good else CheckView(name=name, result=bad, found=str(found), hint=hint)
