// Curves over the epochs of a training, as SVG.
"use strict";

Hornbeam.svg = (tag, attributes = {}, ...children) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
};

/** Round steps for an axis from 0 to `most`. */
Hornbeam.axisStep = (most, count = 4) => {
  const rough = most / count, power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((step) => step >= rough * 0.999);
};

/** At most `most` points: means of equal numbers of neighbors. */
Hornbeam.thinned = (points, most = 300) => {
  const length = Math.ceil(points.length / most);
  if (length < 2) return points;
  return Array.from({ length: Math.ceil(points.length / length) }, (_, i) => {
    const part = points.slice(i * length, (i + 1) * length);
    return [0, 1].map((axis) => part.reduce((sum, point) => sum + point[axis], 0) / part.length);
  });
};

/**
 * A chart.
 *
 * @param {object} options `title`; `end`, the last epoch of the axis; `lines`: `{ points, kind }`, where `kind` is
 *   "training", "validation" or "steps", and points are pairs of epoch and value; `percent`: values from 0 to 1.
 */
Hornbeam.curves = ({ title, end, lines, percent }) => {
  const { svg } = Hornbeam;
  const width = 350, height = 170, left = 44, right = 10, top = 12, bottom = 26;
  const values = lines.flatMap(({ points }) => points.map(([, y]) => y)).filter(Number.isFinite).sort((a, b) => a - b);
  // A few steps of a high loss must not flatten all others.
  const highest = percent ? 1 : 1.08 * (values[Math.floor(0.99 * (values.length - 1))] ?? 1) || 1;
  const x = (value) => left + (width - left - right) * value / end;
  const y = (value) => top + (height - top - bottom) * (1 - Math.min(Math.max(value / highest, 0), 1));
  const text = (value) => percent ? `${Math.round(100 * value)} %` : String(Number(value.toPrecision(3)));
  const parts = [];
  const step = Hornbeam.axisStep(highest);
  for (let value = 0; value <= highest * 1.001; value += step) {
    parts.push(svg("line", { class: "grid", x1: left, x2: width - right, y1: y(value), y2: y(value) }),
      svg("text", { x: left - 7, y: y(value) + 4, "text-anchor": "end" }, text(value)));
  }
  const epochs = Math.max(1, Hornbeam.axisStep(end, 5));
  for (let value = 0; value <= end * 1.001; value += epochs) {
    parts.push(svg("text", { x: x(value), y: height - 8, "text-anchor": "middle" }, String(value)));
  }
  for (const { points, kind } of lines) {
    const path = Hornbeam.thinned(points).map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`).join(" ");
    if (points.length > 1) parts.push(svg("polyline", { class: `line ${kind}`, points: path }));
    if (kind === "steps" || points.length > 30) continue;
    for (const [a, b] of points) parts.push(svg("circle", { class: `dot ${kind}`, cx: x(a), cy: y(b), r: 3 }));
  }
  const label = `${title} by epochs`;
  return svg("svg", { class: "curves", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, ...parts);
};
