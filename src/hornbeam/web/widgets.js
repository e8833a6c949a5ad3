// A form for a model: a widget for each input, and its outputs, which follow every change.
"use strict";

/** The widget of an input, by the kind in its metadata: `{ element, isEmpty(), tensor() }`. */
Hornbeam.inputWidget = (spec, kind, onChange) => {
  if (kind.kind === "image") return Hornbeam.imageWidget(spec, kind, onChange);
  if (kind.kind === "text" && (kind.vocabulary || spec.dtype === "string")) {
    return Hornbeam.textInput(kind, spec, onChange);
  }
  if (kind.kind === "table") return Hornbeam.tableInput(kind, spec, onChange);
  return Hornbeam.tensorInput(kind, spec, onChange);
};

/** An image: drawn if it is as small as a digit, else chosen; with its range of values. */
Hornbeam.imageWidget = (spec, kind, onChange) => {
  const { element } = Hornbeam;
  const isDigit = kind.height === 28 && kind.width === 28 && kind.channels === 1;
  const source = isDigit ? Hornbeam.drawing(kind, onChange) : Hornbeam.imageInput(kind, onChange);
  const ranges = [[0, 1], [-1, 1], [0, 255]];
  const own = kind.range || [0, 1];
  if (!ranges.some(([low, high]) => low === own[0] && high === own[1])) ranges.unshift(own);
  const id = Hornbeam.freshId("range");
  const select = element("select", { id, change: onChange }, ...ranges.map(([low, high]) =>
    element("option", { value: `${low},${high}`, selected: low === own[0] && high === own[1] }, `${low} to ${high}`)));
  const settings = element("details", { class: "more" }, element("summary", {}, "Values of pixels"),
    element("div", { class: "field" },
      element("label", { for: id, class: "quiet" }, "Black to white, as the model was trained:"), select));
  return {
    ...source,
    element: element("div", {}, source.element, settings, isDigit ? Hornbeam.collector(source, kind) : null),
    tensor: () => {
      const [height, width] = isDigit ? [28, 28] : source.size();
      const range = select.value.split(",").map(Number);
      return Hornbeam.imageTensor(source.pixels(), { ...kind, range }, spec, height, width);
    },
  };
};

/**
 * Build the form of a model in an element.
 *
 * @param {HTMLElement} element Its contents are replaced.
 * @param {object} signature `{ inputs, outputs }`: lists of `{ name, dtype, shape }`; unknown sizes are null.
 * @param {object} metadata `{ inputs: { name: { kind, ... } }, labels }`, as the model's file has it.
 * @param {function} predict Async function from `{ name: { dtype, shape, data } }` to the outputs, likewise.
 * @returns {{inputs: object, run: function}} The widgets by the names of inputs, and a function to predict again.
 */
Hornbeam.mount = (element, signature, metadata, predict) => {
  const make = Hornbeam.element;
  const results = make("div", { "aria-live": "polite", "aria-atomic": "true" });
  const failure = make("p", { class: "failure", role: "alert" });
  const time = make("p", { class: "quiet" });
  let isRunning = false, isStale = false;

  const run = async () => {
    if (isRunning) {
      isStale = true;
      return;
    }
    const waiting = Object.values(widgets).some((widget) => widget.isEmpty());
    const inputs = {};
    if (!waiting) for (const [name, widget] of Object.entries(widgets)) inputs[name] = widget.tensor();
    if (waiting || Object.values(inputs).includes(null)) {
      failure.textContent = time.textContent = "";
      results.replaceChildren(make("p", { class: "quiet" }, Hornbeam.hint(signature, metadata)));
      return;
    }
    isRunning = true;
    const start = performance.now();
    try {
      const outputs = await predict(inputs);
      failure.textContent = "";
      time.textContent = `${(performance.now() - start).toFixed(1)} ms`;
      results.replaceChildren(...Hornbeam.outputCards(signature, outputs, metadata));
    } catch (error) {
      failure.textContent = error.message;
    }
    isRunning = false;
    if (isStale) {
      isStale = false;
      requestAnimationFrame(run);
    }
  };
  const widgets = {}, cards = [];
  for (const spec of signature.inputs) {
    const widget = widgets[spec.name] = Hornbeam.inputWidget(spec, metadata.inputs?.[spec.name] || {}, run);
    cards.push(make("section", { class: "card" },
      Hornbeam.inputHeading(spec, metadata.inputs?.[spec.name] || {}, signature.inputs.length === 1), widget.element));
  }
  element.replaceChildren(make("div", { class: "try" },
    make("div", { class: "inputs" }, ...cards),
    make("div", { class: "outputs" }, make("section", { class: "card" }, results, failure, time))));
  run();
  return { inputs: widgets, run };
};

/** What to give: in plain words if it is an image or a text and the only input; its type is shown on hovering. */
Hornbeam.inputHeading = (spec, kind, isOnly) => {
  const type = Hornbeam.typeText(spec);
  const words = { image: kind.height === 28 ? "Draw here" : "An image", text: "A text" }[kind.kind];
  if (isOnly && words) return Hornbeam.element("h2", { title: `${spec.name}: ${type}` }, words);
  return Hornbeam.element("h2", {}, spec.name, Hornbeam.element("code", {}, type));
};

/** What to do while an input is empty. */
Hornbeam.hint = (signature, metadata) => {
  const kinds = signature.inputs.map((spec) => metadata.inputs?.[spec.name] || {});
  if (kinds.some((kind) => kind.kind === "image" && kind.height === 28)) return "Draw something: the answer follows the pen.";
  if (kinds.some((kind) => kind.kind === "image")) return "Choose an image: the answer appears here.";
  return "Type something: the answer appears here.";
};

/** A dtype and a shape as text. */
Hornbeam.typeText = (spec) => `${spec.dtype} (${spec.shape.map((size) => size ?? "any").join(", ")})`;

/** All outputs; their names are shown if there are several. */
Hornbeam.outputCards = (signature, outputs, metadata) => signature.outputs.map((spec) => {
  const shown = Hornbeam.showOutput(outputs[spec.name], metadata.labels);
  if (signature.outputs.length === 1) return shown;
  return Hornbeam.element("div", {}, Hornbeam.element("h3", {}, spec.name), shown);
});
