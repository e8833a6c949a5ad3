"""HTML for reports and notebooks: markup, colors, and the output of a notebook cell."""
