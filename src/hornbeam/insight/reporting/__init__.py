"""One HTML page about one run, which stands for itself."""

from hornbeam.insight.reporting.page import page, report

__all__ = ["page", "report"]
