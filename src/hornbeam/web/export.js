// A page that contains a model and the engine. It follows engine.js in one script.

const find = (id) => document.getElementById(id);

/** The bytes of a part of this page: gzip, in base64. */
const unpack = async (id) => {
  const packed = Uint8Array.from(atob(find(id).textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
};

const specOf = ({ name, dtype, shape }) => ({
  name, dtype, shape: shape.map((size) => (typeof size === "string" ? null : size)),
});

/** An input of the widgets, whose 64-bit integers are numbers, as the engine takes it. */
const engineInput = ({ dtype, shape, data }) => {
  const type = ARRAYS[dtype];
  if (data instanceof type) return { shape, data };
  const isBig = type === BigInt64Array || type === BigUint64Array;
  return { shape, data: type.from(data, isBig ? (value) => BigInt(value) : undefined) };
};

const byName = (signature, outputs) => Object.fromEntries(signature.outputs.map(({ name }) => [name, outputs[name]]));

// -- what layers compute --

/** Grey values of an activation: its range becomes black to white. */
const grey = (values) => {
  const low = Math.min(...values), span = Math.max(...values) - low || 1;
  return values.map((value) => (value - low) / span);
};

const view = (values, width, height, label, attributes = {}) => {
  const canvas = Hornbeam.element("canvas", { role: "img", "aria-label": label, ...attributes });
  Hornbeam.showPixels(canvas, grey(values), width, height, 1);
  return canvas;
};

/** Images of the channels of feature maps, an image of a sequence of vectors, or a strip of units. */
const activationViews = ({ shape, data }, most = 24) => {
  if (shape.length === 4) {
    const [, height, width, channels] = shape;
    const pixels = Array.from({ length: height * width }, (_, i) => i * channels);
    return Array.from({ length: Math.min(channels, most) }, (_, channel) =>
      view(pixels.map((start) => data[start + channel]), width, height, `channel ${channel}`));
  }
  const values = Array.from(data, Number);
  if (shape.length === 3) return [view(values, shape[2], shape[1], "one row for each step")];
  const units = values.slice(0, 256);
  return [view(units, units.length, 1, `${units.length} units`, { class: "strip" })];
};

const layerRow = (name, activation) => Hornbeam.element("div", {},
  Hornbeam.element("h3", {}, name, Hornbeam.element("code", {}, `(${activation.shape.slice(1).join(", ")})`)),
  Hornbeam.element("div", { class: "channels" }, ...activationViews(activation)));

/** The class activation map over the image. */
const camView = (image, map) => {
  const side = 224, scale = side / Math.max(image.shape[1], image.shape[2]);
  const [height, width] = [image.shape[1] * scale, image.shape[2] * scale];
  const canvas = Hornbeam.element("canvas", { width, height, role: "img", "aria-label": "The image, warm where the class was found" });
  const context = canvas.getContext("2d");
  const channels = image.shape.length === 4 ? image.shape[3] : 1;
  const base = Hornbeam.element("canvas", {});
  Hornbeam.showPixels(base, grey(Array.from(image.data)), image.shape[2], image.shape[1], channels);
  context.imageSmoothingEnabled = false;
  context.drawImage(base, 0, 0, width, height);
  const heat = new ImageData(map.shape[2], map.shape[1]);
  map.data.forEach((value, i) => heat.data.set([255, 128, 0, 200 * value], 4 * i));
  const layer = Hornbeam.element("canvas", { width: heat.width, height: heat.height });
  layer.getContext("2d").putImageData(heat, 0, 0);
  context.imageSmoothingEnabled = true;
  context.drawImage(layer, 0, 0, width, height);
  return Hornbeam.element("div", {}, Hornbeam.element("h3", {}, "Where the class was found"),
    Hornbeam.element("div", { class: "cam" }, canvas, Hornbeam.element("p", { class: "quiet" },
      "Warm parts of the image raised the score of the winning class most (Grad-CAM of the last feature maps).")));
};

/** A card that shows the layers of the last input while it is open. `run` computes a signature from it. */
const layersCard = (model, run) => {
  const content = Hornbeam.element("div", { class: "layers" });
  const details = Hornbeam.element("details", {}, Hornbeam.element("summary", {}, "What the layers compute"), content);
  let last = null;
  const show = () => {
    if (!details.open || last === null) return;
    const rows = [];
    if (model.signatures.grad_cam) rows.push(camView(Object.values(last)[0], run("grad_cam", last).grad_cam));
    const activations = run("layers", last);
    for (const { name } of model.signatures.layers.outputs) rows.push(layerRow(name, activations[name]));
    content.replaceChildren(...rows);
  };
  details.addEventListener("toggle", show);
  return {
    element: Hornbeam.element("section", { class: "card more" }, details),
    update: (inputs) => { last = inputs; show(); },
  };
};

// -- the page --

const start = async () => {
  const engine = await Engine.create(await unpack("engine"));
  const model = engine.load(await unpack("model"));
  const { predict, layers } = model.signatures;
  const { training, labels, kinds } = model.metadata;
  const trainer = training ? new Hornbeam.Trainer(model, Hornbeam.readData(await unpack("data"), training, ARRAYS)) : null;
  const compute = (name, given) => (trainer ? trainer.run(name, given) : model.run(given, name));
  const card = layers ? layersCard(model, compute) : null;
  const signature = { inputs: predict.inputs.map(specOf), outputs: predict.outputs.map(specOf) };
  const run = async (inputs) => {
    const given = Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, engineInput(input)]));
    const outputs = compute(trainer ? "stateless_predict" : "predict", given);
    card?.update(given);
    return byName(predict, outputs);
  };
  const form = Hornbeam.mount(find("try"), signature, { labels, inputs: kinds }, run);
  if (trainer) {
    const panel = Hornbeam.trainingPanel(trainer, form.run).element;
    // The plane of a net for points shows more than two sliders.
    find("try")[Hornbeam.isPlane(trainer) ? "prepend" : "append"](panel);
  }
  if (card) find("try").append(card.element);
  // For tests, and for the curious in the console.
  Object.assign(globalThis, { model, trainer });
};

start().catch((error) => { find("failure").textContent = error.message; });
