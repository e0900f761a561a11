"""What an operator sees of a running worker: log lines, metrics, and what the service manager is told."""

from __future__ import annotations

from gmhealth.worker.events import Observer, Report


def together(*observers: Observer) -> Observer:
    """Tell each report to all of `observers`, in their order."""

    def observe(report: Report) -> None:
        for each in observers:
            each(report)

    return observe
