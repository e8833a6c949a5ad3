// A canvas to draw a digit on, which is centered and scaled as those of MNIST were.
"use strict";

/**
 * Fit a drawing into a square as MNIST does (LeCun et al., 1998): scale it into a box of 20 of 28 pixels with its
 * proportions, then move its center of mass to pixel 14 (counted from 0) in both directions.
 *
 * @param {Float32Array} pixels Brightness from 0 to 1, row by row, 0 where nothing is drawn.
 * @param {number} width Width of the drawing; its height follows.
 * @param {number} size Height and width of the result.
 * @returns {Float32Array} The pixels of the result; all 0 if nothing is drawn.
 */
Hornbeam.centered = (pixels, width, size = 28) => {
  const result = new Float32Array(size * size);
  const box = Hornbeam.boundingBox(pixels, width);
  if (!box) return result;
  const scale = (size * 20 / 28) / Math.max(box.width, box.height);
  const columns = Math.max(1, Math.round(box.width * scale));
  const rows = Math.max(1, Math.round(box.height * scale));
  const small = Hornbeam.averaged(pixels, width, box, columns, rows);
  let mass = 0, x = 0, y = 0;
  small.forEach((value, i) => {
    mass += value;
    x += value * (i % columns);
    y += value * Math.floor(i / columns);
  });
  const shift = (center, length) =>
    Math.min(Math.max(Math.round(size / 2 - center / mass), 0), size - length);
  const left = shift(x, columns), top = shift(y, rows);
  small.forEach((value, i) => {
    result[(top + Math.floor(i / columns)) * size + left + i % columns] = value;
  });
  return result;
};

/** The smallest box around all pixels above 0.05, or null. */
Hornbeam.boundingBox = (pixels, width) => {
  const height = pixels.length / width;
  let left = width, right = -1, top = height, bottom = -1;
  pixels.forEach((value, i) => {
    if (value <= 0.05) return;
    const column = i % width, row = Math.floor(i / width);
    left = Math.min(left, column);
    right = Math.max(right, column);
    top = Math.min(top, row);
    bottom = Math.max(bottom, row);
  });
  return right < 0 ? null : { left, top, width: right - left + 1, height: bottom - top + 1 };
};

/** Resize a box of an image: each new pixel is the mean of the area that it covers. */
Hornbeam.averaged = (pixels, width, box, columns, rows) => {
  const result = new Float32Array(columns * rows);
  const overlap = (i, from, to) => Math.max(0, Math.min(i + 1, to) - Math.max(i, from));
  for (let row = 0; row < rows; row++) {
    const y0 = row * box.height / rows, y1 = (row + 1) * box.height / rows;
    for (let column = 0; column < columns; column++) {
      const x0 = column * box.width / columns, x1 = (column + 1) * box.width / columns;
      let sum = 0;
      for (let y = Math.floor(y0); y < Math.ceil(y1); y++) {
        for (let x = Math.floor(x0); x < Math.ceil(x1); x++) {
          sum += overlap(y, y0, y1) * overlap(x, x0, x1) * pixels[(box.top + y) * width + box.left + x];
        }
      }
      result[row * columns + column] = sum / ((y1 - y0) * (x1 - x0));
    }
  }
  return result;
};

/**
 * The widget: a canvas for finger, mouse or keys, and what the model sees of it.
 *
 * @param {object} kind Its `height` and `width`.
 * @param {function} onChange Called after each change.
 * @returns {{element: HTMLElement, pixels: function(): Float32Array, isEmpty: function(): boolean}}
 */
Hornbeam.drawing = (kind, onChange) => {
  const { element } = Hornbeam;
  const side = 280, pen = 22;
  const paper = element("canvas", {
    class: "paper", width: side, height: side, tabindex: 0, role: "img",
    "aria-label": "Paper: draw with the mouse or a finger, or move the pen with the arrow keys; Space lowers it",
  });
  const seen = element("canvas", { width: kind.width, height: kind.height, "aria-hidden": "true" });
  const context = paper.getContext("2d", { willReadFrequently: true });
  let strokes = [], stroke = null, cursor = null, result = new Float32Array(kind.width * kind.height);

  const paint = () => {
    context.clearRect(0, 0, side, side);
    Object.assign(context, { lineWidth: pen, lineCap: "round", lineJoin: "round", strokeStyle: "#fff" });
    for (const points of strokes) {
      context.beginPath();
      context.moveTo(points[0][0], points[0][1]);
      for (const [x, y] of points) context.lineTo(x, y);
      context.stroke();
    }
    const alpha = context.getImageData(0, 0, side, side).data;
    const drawn = new Float32Array(side * side);
    for (let i = 0; i < drawn.length; i++) drawn[i] = alpha[4 * i + 3] / 255;
    result = Hornbeam.centered(drawn, side, kind.width);
    if (Hornbeam.isNegative(result, kind.width, kind)) result = result.map((value) => 1 - value);
    Hornbeam.showPixels(seen, result, kind.width, kind.height, 1);
    if (cursor) {
      Object.assign(context, { lineWidth: 2, strokeStyle: stroke ? "#4c9fd4" : "#8c8c8c" });
      context.beginPath();
      context.arc(cursor[0], cursor[1], pen / 2, 0, 2 * Math.PI);
      context.stroke();
    }
    onChange();
  };
  // A pen sends more events than a screen has frames.
  let isDue = false;
  const paintSoon = () => {
    if (!isDue) requestAnimationFrame(() => { isDue = false; paint(); });
    isDue = true;
  };
  const position = (event) => {
    const frame = paper.getBoundingClientRect();
    return [(event.clientX - frame.left) * side / frame.width, (event.clientY - frame.top) * side / frame.height];
  };
  const begin = (point) => strokes.push(stroke = [point]);
  paper.addEventListener("pointerdown", (event) => {
    paper.setPointerCapture(event.pointerId);
    cursor = null;
    begin(position(event));
    paintSoon();
  });
  paper.addEventListener("pointermove", (event) => {
    if (!stroke || cursor) return;
    // A list without the event itself comes from scripts and some browsers.
    const parts = event.getCoalescedEvents?.() ?? [];
    for (const part of parts.length ? parts : [event]) stroke.push(position(part));
    paintSoon();
  });
  for (const name of ["pointerup", "pointercancel"]) paper.addEventListener(name, () => { stroke = null; });
  paper.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-8, 0], ArrowRight: [8, 0], ArrowUp: [0, -8], ArrowDown: [0, 8] }[event.key];
    if (!step && event.key !== " ") return;
    event.preventDefault();
    cursor = cursor || [side / 2, side / 2];
    if (step) {
      cursor = cursor.map((value, i) => Math.min(Math.max(value + step[i], 0), side));
      if (stroke) stroke.push(cursor);
    } else if (stroke) {
      stroke = null;
    } else {
      begin(cursor);
    }
    paint();
  });
  const change = (kept) => () => {
    strokes = kept();
    stroke = cursor = null;
    paint();
  };
  return {
    element: element("div", {},
      element("div", { class: "easel" }, paper, element("div", { class: "seen" }, seen, "the model sees")),
      element("div", { class: "buttons" },
        element("button", { type: "button", click: change(() => []) }, "Clear"),
        element("button", { type: "button", click: change(() => strokes.slice(0, -1)) }, "Undo")),
    ),
    pixels: () => result,
    isEmpty: () => strokes.length === 0,
    draw: (lines) => change(() => lines)(),
    clear: change(() => []),
  };
};

/**
 * Fields to keep drawings with what they show and who drew them, and to save them as a file: training data for a net
 * of one's own. Nothing leaves the page otherwise.
 */
Hornbeam.collector = (source, kind) => {
  const { element } = Hornbeam;
  const kept = { width: kind.width, height: kind.height, labels: [], people: [], pixels: [] };
  const field = (name) => {
    const id = Hornbeam.freshId("drawing");
    const input = element("input", { id, type: "text", autocomplete: "off" });
    return [element("div", { class: "field" }, element("label", { for: id, class: "quiet" }, name), input), input];
  };
  const [what, whatInput] = field("What it shows"), [who, whoInput] = field("Who drew it");
  const count = element("p", { class: "quiet", role: "status" }, "No drawing is kept yet.");
  const keep = () => {
    if (source.isEmpty() || !whatInput.value.trim()) {
      count.textContent = source.isEmpty() ? "Draw something first." : "Say first what it shows.";
      return;
    }
    kept.labels.push(whatInput.value.trim());
    kept.people.push(whoInput.value.trim());
    kept.pixels.push(Array.from(source.pixels(), (value) => Math.round(255 * value)));
    count.textContent = `${kept.labels.length} kept, on this device alone. Save them before you leave the page.`;
    source.clear();
  };
  const save = () => {
    const href = URL.createObjectURL(new Blob([JSON.stringify(kept)], { type: "application/json" }));
    element("a", { href, download: "drawings.json" }).click();
    setTimeout(() => URL.revokeObjectURL(href), 1000);
  };
  return element("details", { class: "more" }, element("summary", {}, "Collect drawings"), what, who,
    element("div", { class: "buttons" },
      element("button", { type: "button", click: keep }, "Keep this one"),
      element("button", { type: "button", click: save }, "Save as a file")),
    count);
};

/** Show brightness from 0 to 1, of one or three channels, on a canvas. */
Hornbeam.showPixels = (canvas, pixels, width, height, channels) => {
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let channel = 0; channel < 3; channel++) {
      image.data[4 * i + channel] = 255 * pixels[channels === 1 ? i : 3 * i + channel];
    }
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
};
