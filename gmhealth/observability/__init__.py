"""What an operator sees of a running worker: log lines, metrics, and what the service manager is told."""

from __future__ import annotations

from gmhealth.worker.events import Notice, Observer


def together(*observers: Observer) -> Observer:
    """Tell each notice to all of `observers`, in their order."""

    def observe(notice: Notice) -> None:
        for each in observers:
            each(notice)

    return observe
