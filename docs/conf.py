"""Sphinx configuration: `make docs` builds the site."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import hornbeam

project = "Hornbeam"
author = "the Hornbeam contributors"
version = release = hornbeam.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "reference_pages",
    "example_pages",
    "live_pages",
    "mathml",
]
exclude_patterns = ["_build", "matplotlibrc"]
html_theme = "furo"
html_title = "Hornbeam"
# Nothing is fetched from elsewhere when a page is read (tests/docs/test_site.py).
html_theme_options = {"source_repository": "", "navigation_with_keys": True}
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["copy.js"]
html_search_scorer = str(Path(__file__).parent / "_static" / "scorer.js")  # Sphinx opens it from anywhere

myst_heading_anchors = 3
myst_enable_extensions = ["dollarmath", "colon_fence"]

napoleon_numpy_docstring = False
napoleon_use_rtype = False

autosummary_generate = False
autodoc_typehints = "none"
autodoc_class_signature = "mixed"
# An overriding method is listed only if it has a docstring itself.
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
# Examples in docstrings are run by the tests, with `hornbeam`, `np` and `ops` at hand.
highlight_language = "python"
toc_object_entries = False
