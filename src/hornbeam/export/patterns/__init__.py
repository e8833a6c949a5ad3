"""Patterns: the operators that nodes of a graph stand for.

The modules have a function for each, see `Pattern`. The rules of a format say which it looks for.
"""

from hornbeam.export.patterns.matching import MatchContext as MatchContext
from hornbeam.export.patterns.matching import Operator as Operator
from hornbeam.export.patterns.matching import Pattern as Pattern
from hornbeam.export.patterns.matching import first_found as first_found
from hornbeam.export.patterns.matching import planned as planned
