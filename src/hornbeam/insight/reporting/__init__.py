"""Report of a run as one self-contained HTML page."""

from hornbeam.insight.reporting.page import page, report

__all__ = ["page", "report"]
