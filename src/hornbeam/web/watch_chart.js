// A chart of a metric: curves of runs over each other, or mean and range of runs that differ in seeds alone.
"use strict";

/** Names of the metrics of histories, without those of validation that belong to another one; the loss comes first. */
Hornbeam.metricNames = (histories) => {
  const all = new Set(histories.flatMap(({ metrics }) => Object.keys(metrics)));
  const names = [...all].filter((name) => !(name.startsWith("val_") && all.has(name.slice(4))));
  return names.sort((a, b) => Number(b === "loss") - Number(a === "loss") || Number(a.includes("rate")) - Number(b.includes("rate")));
};

/** Mean, smallest and largest value at each epoch of several curves; epochs that one of them lacks are left out. */
Hornbeam.band = (curves) => {
  const [first, ...others] = curves.map((points) => new Map(points));
  const epochs = [...first.keys()].filter((epoch) => others.every((curve) => curve.has(epoch)));
  return epochs.map((epoch) => {
    const values = [first, ...others].map((curve) => curve.get(epoch));
    return [epoch, values.reduce((sum, value) => sum + value, 0) / values.length, Math.min(...values), Math.max(...values)];
  });
};

/** Points of a metric that are finite: pairs of epoch and value. */
Hornbeam.pointsOf = ({ epochs, metrics }, name) =>
  (metrics[name] ?? []).map((value, index) => [epochs[index], value]).filter(([, value]) => Number.isFinite(value));

/** The axis of values: `{ low, high, log, ticks }`. Positive values over more than a factor of 50 get a logarithm. */
Hornbeam.valueAxis = (values) => {
  const least = Math.min(...values), most = Math.max(...values);
  if (least > 0 && most / least > 50) {
    const low = Math.floor(Math.log10(least)), high = Math.ceil(Math.log10(most));
    const each = Math.ceil((high - low) / 5);
    const ticks = Array.from({ length: Math.floor((high - low) / each) + 1 }, (_, i) => 10 ** (low + i * each));
    return { low: 10 ** low, high: 10 ** high, log: true, ticks };
  }
  const step = Hornbeam.axisStep((most - least) || Math.abs(most) || 1);
  const low = Math.floor(least / step) * step, high = Math.max(Math.ceil(most / step) * step, low + step);
  const ticks = Array.from({ length: Math.round((high - low) / step) + 1 }, (_, i) => low + i * step);
  return { low, high, log: false, ticks };
};

/**
 * A chart.
 *
 * @param {string} name Name of the metric.
 * @param {function} onEpoch Called with the epoch that a pointer or a key points to, null for the last one.
 * @returns `{ root, draw(series, end, epoch) }`; `series`: `{ label, color, train, validation }` with lists of
 *   `[epoch, value]` or `[epoch, mean, least, most]`; `end`: last epoch of the axis.
 */
Hornbeam.runChart = (name, onEpoch) => {
  const { element, svg } = Hornbeam;
  const height = 210, left = 52, right = 10, top = 10, bottom = 24;
  const scale = element("span"), readout = element("table", { class: "readout" });
  const drawing = svg("svg", { tabindex: 0, role: "img" });
  const root = element("figure", { class: "chart" }, element("figcaption", {}, Hornbeam.titleOf(name.replace(/^val_/, "")), scale), drawing, readout);
  let epochs = [], shown = null, toEpoch = () => null;

  const point = (event) => {
    const box = drawing.getBoundingClientRect();
    if (epochs.length && box.width) onEpoch(toEpoch(event.clientX - box.left));
  };
  drawing.addEventListener("pointermove", point);
  drawing.addEventListener("pointerdown", point);
  drawing.addEventListener("pointerleave", () => onEpoch(null));
  drawing.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape") onEpoch(null);
    if (!step || !epochs.length) return;
    event.preventDefault();
    const at = epochs.indexOf(shown ?? epochs.at(-1));
    onEpoch(epochs[Math.min(Math.max(at + step, 0), epochs.length - 1)]);
  });

  const path = (points, x, y) => points.map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`).join(" ");
  const draw = (series, end, epoch) => {
    const lines = series.flatMap(({ color, train, validation }) => [{ color, points: train, kind: "" }, { color, points: validation, kind: " dashed" }])
      .filter(({ points }) => points.length);
    const values = lines.flatMap(({ points }) => points.flatMap((each) => each.slice(1)));
    epochs = [...new Set(lines.flatMap(({ points }) => points.map(([a]) => a)))].sort((a, b) => a - b);
    shown = epochs.includes(epoch) ? epoch : null;
    root.hidden = values.length === 0;
    if (root.hidden) return;
    const width = Math.max(root.clientWidth, 200), axis = Hornbeam.valueAxis(values);
    const start = Math.min(1, epochs[0]), last = Math.max(end, epochs.at(-1), start + 1);
    const inner = width - left - right, of = axis.log ? Math.log : Number;
    const x = (value) => left + inner * (value - start) / (last - start);
    const y = (value) => top + (height - top - bottom) * (1 - (of(value) - of(axis.low)) / (of(axis.high) - of(axis.low)));
    toEpoch = (at) => {
      const wanted = start + (last - start) * (at - left) / inner;
      return epochs.reduce((best, each) => Math.abs(each - wanted) < Math.abs(best - wanted) ? each : best);
    };
    const parts = axis.ticks.flatMap((value) => [
      svg("line", { class: "grid", x1: left, x2: width - right, y1: y(value), y2: y(value) }),
      svg("text", { x: left - 7, y: y(value) + 4, "text-anchor": "end" }, Hornbeam.metricText("", Number(value.toPrecision(6)))),
    ]);
    const step = Math.max(1, Math.round(Hornbeam.axisStep(last - start, Math.max(2, inner / 70))));
    for (let value = Math.ceil(start / step) * step; value <= last; value += step) {
      parts.push(svg("text", { x: x(value), y: height - 6, "text-anchor": "middle" }, String(value)));
    }
    if (shown !== null) parts.push(svg("line", { class: "cursor", x1: x(shown), x2: x(shown), y1: top, y2: height - bottom }));
    for (const { color, points, kind } of lines) {
      if (points[0].length > 2) {
        const edge = [...points.map((each) => [each[0], each[3]]), ...points.map((each) => [each[0], each[2]]).reverse()];
        parts.push(svg("polygon", { class: `band series-${color}`, points: path(edge, x, y) }));
      }
      const thinned = Hornbeam.thinned(points, 600);
      if (points.length > 1) parts.push(svg("polyline", { class: `line series-${color}${kind}`, points: path(thinned, x, y) }));
      const marked = points.length === 1 ? points : points.filter(([a]) => a === shown);
      for (const [a, b] of marked) parts.push(svg("circle", { class: `dot series-${color}`, cx: x(a), cy: y(b), r: 3.5 }));
    }
    drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
    drawing.setAttribute("height", height);
    drawing.setAttribute("aria-label", `${name} by epochs; arrow keys choose an epoch of the table below`);
    drawing.replaceChildren(...parts);
    scale.textContent = axis.log ? "logarithmic" : "";
    read(series);
  };

  /** The values at the epoch that is pointed to, or the last ones. */
  const read = (series) => {
    const content = (points) => {
      const found = shown === null ? points.at(-1) : points.find(([a]) => a === shown);
      if (!found) return ["–"];
      const [value, least, most] = found.slice(1).map((each) => Hornbeam.metricText(name, each));
      return least === undefined ? [value] : [value, element("small", {}, `${least} to ${most}`)];
    };
    const hasTraining = series.some(({ train }) => train.length), hasValidation = series.some(({ validation }) => validation.length);
    const cells = (tag, training, validation) => [hasTraining ? element(tag, {}, ...training) : null, hasValidation ? element(tag, {}, ...validation) : null];
    readout.replaceChildren(
      element("thead", {}, element("tr", {}, element("th", {}, shown === null ? "last epoch" : `epoch ${shown}`), ...cells("th", ["training"], ["validation"]))),
      element("tbody", {}, ...series.map(({ label, color, train, validation }) => element("tr", {},
        element("th", { scope: "row" }, element("i", { class: `key series-${color}`, "aria-hidden": "true" }), label),
        ...cells("td", content(train), content(validation))))));
  };
  return { root, draw };
};
