// Small helpers to build the page's elements. All scripts add to one object, so that a page can contain them in
// any number of files, without modules or a build step.
"use strict";

globalThis.Hornbeam = globalThis.Hornbeam || {};

/** Create an element: `element("p", { class: "quiet" }, "text", child)`; functions are event listeners. */
Hornbeam.element = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== false && value !== undefined) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
};

/** The typed array of a dtype; 64-bit integers are numbers here, which are exact up to 2^53. */
Hornbeam.typedArray = (dtype, values) => {
  const types = {
    uint8: Uint8Array, int8: Int8Array, uint16: Uint16Array, int16: Int16Array, uint32: Uint32Array,
    int32: Int32Array, float32: Float32Array, float64: Float64Array, float16: Float32Array,
    bfloat16: Float32Array, int64: Float64Array, uint64: Float64Array,
  };
  return types[dtype] ? types[dtype].from(values) : Array.from(values);
};

Hornbeam.isInteger = (dtype) => /^u?int/.test(dtype);

/** The name of a metric as a title. */
Hornbeam.titleOf = (name) => name.replace(/_/g, " ");

let count = 0;
/** An identifier that labels can refer to. */
Hornbeam.freshId = (prefix) => `${prefix}-${++count}`;
