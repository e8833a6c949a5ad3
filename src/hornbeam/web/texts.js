// A text, and the numbers of its words.
"use strict";

/**
 * The words of a text, split as `TextVectorization` does: ASCII letters, punctuation and white space alone count
 * as such.
 */
Hornbeam.words = (text, kind) => {
  const standardize = kind.standardize === undefined ? "lower_and_strip_punctuation" : kind.standardize;
  const split = kind.split === undefined ? "whitespace" : kind.split;
  if (standardize?.startsWith("lower")) text = text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  if (standardize?.endsWith("punctuation")) text = text.replace(/[!-/:-@[-`{-~]/g, "");
  const words = split === "whitespace" ? text.split(/[ \t\n\v\f\r]+/) : split === "character" ? [...text] : [text];
  return words.filter((word) => word !== "");
};

/** The numbers of a text's words: 1 for unknown ones, padded with 0 or cut to a length. */
Hornbeam.wordNumbers = (text, kind, length) => {
  const numbers = new Map(kind.vocabulary.map((word, number) => [word, number]));
  const known = Hornbeam.words(text, kind).map((word) => numbers.get(word) ?? 1);
  const size = kind.output_sequence_length || length || Math.max(known.length, 1);
  return Array.from({ length: size }, (_, i) => known[i] ?? 0);
};

/** The widget. */
Hornbeam.textInput = (kind, spec, onChange) => {
  const { element } = Hornbeam;
  const id = Hornbeam.freshId("text");
  const note = element("p", { class: "quiet", "aria-live": "polite" });
  const known = new Set(kind.vocabulary || []);
  const area = element("textarea", {
    id, placeholder: "Type or paste a text", spellcheck: "false",
    input: () => {
      const words = kind.vocabulary ? Hornbeam.words(area.value, kind) : [];
      const unknown = [...new Set(words.filter((word) => !known.has(word)))];
      const names = unknown.slice(0, 8).join(", ") + (unknown.length > 8 ? ", ..." : "");
      note.textContent = !kind.vocabulary ? "" :
        `${words.length} ${words.length === 1 ? "word" : "words"}` + (names ? `; not in the vocabulary: ${names}` : "");
      onChange();
    },
  });
  return {
    element: element("div", {}, element("label", { for: id, class: "visually-hidden" }, spec.name), area, note),
    isEmpty: () => area.value.trim() === "",
    tensor: () => {
      if (spec.dtype === "string") return { dtype: "string", shape: spec.shape.map(() => 1), data: [area.value] };
      const values = Hornbeam.wordNumbers(area.value, kind, spec.shape[1]);
      return { dtype: spec.dtype, shape: [1, values.length], data: Hornbeam.typedArray(spec.dtype, values) };
    },
  };
};
