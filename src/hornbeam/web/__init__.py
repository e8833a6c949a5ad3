"""The page to try a model in a browser: widgets by kinds of inputs, and the kinds.

`hornbeam serve` shows it, and an export for the web contains it. The scripts and styles in this folder
need no build step, and load nothing from elsewhere: `Hornbeam.mount(element, signature, metadata, predict)`
builds the form of a model.
"""

from __future__ import annotations

# In the order in which a page contains them.
WIDGETS = (
    "elements.js", "drawing.js", "images.js", "texts.js", "tables.js", "outputs.js", "widgets.js",
)  # fmt: skip
# Of a page that trains, besides.
TRAINING = ("trainer.js", "curves.js", "plane.js", "training.js")

# Of the page of `hornbeam watch`.
WATCH = ("elements.js", "curves.js", "watch_runs.js", "watch_chart.js", "watch_details.js", "watch.js")


def read(name: str) -> bytes:
    """Return the contents of a script, a style sheet or a page of this folder."""
    from importlib import resources  # it takes longer to import than this package

    return (resources.files("hornbeam.web") / name).read_bytes()
