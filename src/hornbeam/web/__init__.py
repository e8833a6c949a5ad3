"""The page to try a model in a browser: widgets by kinds of inputs, and the kinds.

`hornbeam serve` shows it, and an export for the web contains it. The scripts and styles in this folder
need no build step, and load nothing from elsewhere.
"""
