"""Patterns: the operators that nodes of a graph stand for.

The modules have a function for each, see `Pattern`. The rules of a format say which it looks for.
"""

from hornbeam.export.patterns.site import Operator as Operator
from hornbeam.export.patterns.site import Pattern as Pattern
from hornbeam.export.patterns.site import Site as Site
from hornbeam.export.patterns.site import first_found as first_found
from hornbeam.export.patterns.site import planned as planned
