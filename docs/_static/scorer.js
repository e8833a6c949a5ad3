// The order of what the search finds: how-tos and pages for people before the pages of modules and classes.
"use strict";

var Scorer = {
  /** Add to the score of a result by its page: tasks first, then lessons and topics, then the reference. */
  score: ([page, , , , score, , kind]) => {
    if (kind === "object") return score + 20; // the name of a class or a function was typed
    if (page.startsWith("howto/")) return score + 20;
    return page.startsWith("reference/") || page.startsWith("hornbeam") ? score - 20 : score;
  },
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
