// Sliders for the columns of a table, and a field for the values of any other tensor.
"use strict";

/** Names, ranges and first values of a table's columns, from the metadata as far as it has them. */
Hornbeam.columnsOf = (kind, spec) => Array.from({ length: spec.shape[1] }, (_, i) => {
  const described = kind.columns?.[i];
  const column = typeof described === "object" && described !== null ? described : { name: described };
  const { min = -3, max = 3, name = `${spec.name} ${i + 1}` } = column;
  return { name: name ?? `${spec.name} ${i + 1}`, min, max, value: column.default ?? Math.min(Math.max(0, min), max) };
});

/** The widget of a table. */
Hornbeam.tableInput = (kind, spec, onChange) => {
  const { element } = Hornbeam;
  const integer = Hornbeam.isInteger(spec.dtype);
  const columns = Hornbeam.columnsOf(kind, spec);
  const values = columns.map((column) => column.value);
  const row = (column, i) => {
    const id = Hornbeam.freshId("column");
    const step = integer ? 1 : (column.max - column.min) / 200;
    const set = (source, target) => () => {
      if (source.value === "" || !Number.isFinite(Number(source.value))) return;
      values[i] = Number(source.value);
      target.value = source.value;
      onChange();
    };
    const attributes = { min: column.min, max: column.max, step, value: column.value };
    const slider = element("input", { ...attributes, type: "range", id });
    const number = element("input", {
      type: "number", step: integer ? 1 : "any", value: column.value, "aria-label": `${column.name}, as a number`,
    });
    slider.addEventListener("input", set(slider, number));
    number.addEventListener("input", set(number, slider));
    const reset = () => { slider.value = number.value = values[i] = column.value; };
    return { reset, element: element("div", { class: "column" }, element("label", { for: id }, column.name), slider, number) };
  };
  const rows = columns.map(row);
  const reset = () => { rows.forEach((each) => each.reset()); onChange(); };
  return {
    element: element("div", {},
      element("div", { class: "columns" }, ...rows.map((each) => each.element)),
      element("div", { class: "buttons" }, element("button", { type: "button", click: reset }, "Reset"))),
    isEmpty: () => false,
    tensor: () => ({ dtype: spec.dtype, shape: [1, values.length], data: Hornbeam.typedArray(spec.dtype, values) }),
  };
};

/** Read numbers that commas, brackets or white space separate; throws a sentence if there are others. */
Hornbeam.numbersOf = (text, count, dtype) => {
  const words = text.split(/[\s,;[\]]+/).filter((word) => word !== "");
  const values = words.map((word) => dtype === "bool" ? word === "true" || word === "1" : Number(word));
  const wrong = words.find((word, i) => Number.isNaN(values[i]));
  if (wrong !== undefined) throw new Error(`"${wrong}" is not a number.`);
  if (values.length !== count) throw new Error(`${values.length} values, ${count} are needed.`);
  return values;
};

/** The widget of a tensor that no other one fits. */
Hornbeam.tensorInput = (kind, spec, onChange) => {
  const { element } = Hornbeam;
  const shape = spec.shape.map((size, axis) => (axis === 0 ? size ?? 1 : size ?? 8));
  const count = shape.reduce((product, size) => product * size, 1);
  const id = Hornbeam.freshId("tensor");
  const message = element("p", { class: "failure", role: "alert" });
  const area = element("textarea", { id, class: "code", spellcheck: "false", input: onChange });
  const fill = (value) => () => {
    area.value = Array.from({ length: count }, value).join(", ");
    onChange();
  };
  const random = () => Hornbeam.isInteger(spec.dtype) ? Math.floor(Math.random() * 10) : Math.random().toFixed(3);
  area.value = Array.from({ length: count }, () => 0).join(", ");
  return {
    element: element("div", {},
      element("label", { for: id, class: "quiet" }, `${count} values, shape (${shape.join(", ")})`), area,
      element("div", { class: "buttons" },
        element("button", { type: "button", click: fill(random) }, "Random"),
        element("button", { type: "button", click: fill(() => 0) }, "Zeros")),
      message),
    isEmpty: () => false,
    tensor: () => {
      message.textContent = "";
      try {
        return { dtype: spec.dtype, shape, data: Hornbeam.typedArray(spec.dtype, Hornbeam.numbersOf(area.value, count, spec.dtype)) };
      } catch (error) {
        message.textContent = error.message;
        return null;
      }
    },
  };
};
