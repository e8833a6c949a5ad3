// Results: bars for probabilities, an image, a number, or a table of values.
"use strict";

/** Whether values are probabilities of classes: not negative, with a sum of 1. */
Hornbeam.areProbabilities = (values) =>
  values.length > 1 && values.every((value) => value >= 0) &&
  Math.abs(values.reduce((sum, value) => sum + value, 0) - 1) < 1e-2;

/** The classes to show: all in their order if they are few, else the most probable ones. */
Hornbeam.classesOf = (values, labels, most = 10) => {
  const classes = values.map((value, i) => ({ name: labels?.[i] ?? String(i), value }));
  if (classes.length <= most) return classes;
  return classes.sort((a, b) => b.value - a.value).slice(0, most);
};

/** Format a number with about four digits. */
Hornbeam.shortNumber = (value) => {
  if (value === null || !Number.isFinite(Number(value))) return value === null ? "not finite" : String(value);
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e6) return String(value);
  return size !== 0 && (size < 1e-3 || size >= 1e6) ? value.toExponential(3) : String(Number(value.toPrecision(4)));
};

/** A proportion in percent; what is nearly all is rounded down, as only all is 100 %. */
Hornbeam.percent = (value) => {
  const percent = 100 * value;
  return percent > 99.9 && percent < 100 ? `${(Math.floor(100 * percent) / 100).toFixed(2)} %` : `${percent.toFixed(1)} %`;
};

/** Show one output of one sample. */
Hornbeam.showOutput = (tensor, labels) => {
  const { element } = Hornbeam;
  const values = Array.from(tensor.data, (value) => (typeof value === "bigint" ? Number(value) : value));
  const shape = tensor.shape.slice(1);
  if (shape.length === 1 && Hornbeam.areProbabilities(values)) return Hornbeam.bars(values, labels);
  // A sigmoid's score is that of the second class.
  if (values.length === 1 && labels?.length === 2) return Hornbeam.bars([1 - values[0], values[0]], labels);
  if (values.length === 1) {
    const isProbability = /^b?float/.test(tensor.dtype) && values[0] >= 0 && values[0] <= 1;
    return element("div", {},
      element("p", { class: "winner" }, element("strong", {}, Hornbeam.shortNumber(values[0]))),
      isProbability ? Hornbeam.barList([{ name: "from 0 to 1", value: values[0] }]) : null);
  }
  const channels = shape.length === 3 ? shape[2] : 1;
  if (shape.length >= 2 && shape[0] >= 8 && shape[1] >= 8 && [1, 3].includes(channels)) {
    const canvas = element("canvas", { class: "result-image", role: "img", "aria-label": "The resulting image" });
    const low = Math.min(...values), span = Math.max(...values) - low || 1;
    Hornbeam.showPixels(canvas, values.map((value) => (value - low) / span), shape[1], shape[0], channels);
    return canvas;
  }
  const shown = values.slice(0, 200);
  return element("div", { class: "values", tabindex: 0, role: "region", "aria-label": "Values" },
    element("p", { class: "quiet" }, `shape (${shape.join(", ")})${values.length > 200 ? ", the first 200 values" : ""}`),
    element("code", {}, shown.map(Hornbeam.shortNumber).join("  ")));
};

/** Bars for probabilities, under the most probable class. */
Hornbeam.bars = (values, labels) => {
  const { element } = Hornbeam;
  const best = values.indexOf(Math.max(...values));
  return element("div", {},
    element("p", { class: "winner" },
      element("strong", {}, labels?.[best] ?? String(best)), element("span", {}, Hornbeam.percent(values[best]))),
    Hornbeam.barList(Hornbeam.classesOf(values, labels)));
};

Hornbeam.barList = (classes) => {
  const { element } = Hornbeam;
  const best = Math.max(...classes.map((each) => each.value));
  const named = classes.some((each) => each.name.length > 3);
  return element("ul", { class: named ? "bars named" : "bars" }, ...classes.map(({ name, value }) => {
    const fill = element("div", { class: "fill" });
    fill.style.width = `${100 * Math.min(Math.max(value, 0), 1)}%`;
    return element("li", { class: value === best ? "best" : false },
      element("span", { class: "name" }, name),
      element("div", { class: "track", "aria-hidden": "true" }, fill),
      element("span", { class: "value" }, Hornbeam.percent(value)));
  }));
};
