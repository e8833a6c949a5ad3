// The plane of a model with two numbers as its input: the class of each point, and the data.
"use strict";

/** Colors of classes that are told apart in light and dark, and without red and green (Okabe and Ito, 2008). */
Hornbeam.CLASS_COLORS = [
  [0, 114, 178], [230, 159, 0], [0, 158, 115], [204, 121, 167], [86, 180, 233], [213, 94, 0], [150, 140, 40],
  [110, 110, 110],
];

/** Whether a trainer's model and data are classes of points in a plane. */
Hornbeam.isPlane = ({ model, data }) => {
  const { inputs, outputs } = model.signatures.predict;
  const [x, y] = data[0];
  const few = y.size === 1 && y.data.every((value) => Number(value) === Math.floor(Number(value)) && value >= 0 && value < 8);
  return inputs.length === 1 && outputs.length === 1 && x.size === 2 && x.shape.length === 1 && few;
};

/** A canvas and a function that draws the plane for the weights of the moment. */
Hornbeam.plane = (trainer) => {
  const side = 360, cells = 72, most = 600;
  const canvas = Hornbeam.element("canvas", {
    class: "plane", width: side, height: side, role: "img",
    "aria-label": "The plane in colors of the classes that the model names, and samples",
  });
  const [{ name, data: points }] = trainer.data[0];
  const range = [0, 1].map((axis) => {
    const values = Array.from({ length: points.length / 2 }, (_, i) => points[2 * i + axis]);
    const [low, high] = [Math.min, Math.max].map((choose) => values.reduce((a, b) => choose(a, b)));
    const margin = 0.12 * (high - low || 1);
    return [low - margin, high + margin];
  });
  const grid = new points.constructor(2 * cells * cells);
  for (let i = 0; i < cells * cells; i++) {
    const place = [i % cells, cells - 1 - Math.floor(i / cells)];
    for (const axis of [0, 1]) {
      const [low, high] = range[axis];
      grid[2 * i + axis] = low + (place[axis] + 0.5) / cells * (high - low);
    }
  }
  const [{ name: output }] = trainer.model.signatures.predict.outputs;
  const small = Hornbeam.element("canvas", { width: cells, height: cells });
  const context = canvas.getContext("2d");

  const draw = () => {
    const { data, shape } = trainer.run("stateless_predict", { [name]: { shape: [cells * cells, 2], data: grid } })[output];
    const classes = shape[1], image = new ImageData(cells, cells);
    for (let i = 0; i < cells * cells; i++) {
      let scores = Array.from(data.subarray(i * classes, (i + 1) * classes));
      if (classes === 1) scores = [1 - scores[0], scores[0]];
      const best = scores.indexOf(Math.max(...scores));
      const sure = Hornbeam.areProbabilities(scores) ? scores[best] : 1;
      image.data.set([...Hornbeam.CLASS_COLORS[best % 8], 40 + 130 * Math.max(0, sure - 1 / scores.length)], 4 * i);
    }
    small.getContext("2d").putImageData(image, 0, 0);
    context.clearRect(0, 0, side, side);
    context.imageSmoothingEnabled = true;
    context.drawImage(small, 0, 0, side, side);
    trainer.data.forEach(([x, y], part) => y.data.subarray(0, most).forEach((label, i) => {
      const [u, v] = [0, 1].map((axis) => (x.data[2 * i + axis] - range[axis][0]) / (range[axis][1] - range[axis][0]));
      context.beginPath();
      context.arc(u * side, (1 - v) * side, 4, 0, 2 * Math.PI);
      const color = `rgb(${Hornbeam.CLASS_COLORS[Number(label)]})`;
      Object.assign(context, { fillStyle: part ? "#fff" : color, strokeStyle: part ? color : "#fff", lineWidth: part ? 2 : 1 });
      context.fill();
      context.stroke();
    }));
  };
  return { element: canvas, draw };
};
