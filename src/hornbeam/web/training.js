// The panel by which one trains the model of a page.
"use strict";

/**
 * The panel.
 *
 * @param {object} trainer A `Hornbeam.Trainer`.
 * @param {function} onChange Called when weights have changed.
 */
Hornbeam.trainingPanel = (trainer, onChange) => {
  const { element } = Hornbeam;
  const { training } = trainer;
  const plane = Hornbeam.isPlane(trainer) ? Hornbeam.plane(trainer) : null;
  const scores = trainer.model.signatures.train.outputs.map(({ name }) => name)
    .filter((name) => name !== "loss" && !name.endsWith(".next"));
  const isShare = (name) => /acc|precision|recall|auc/.test(name);
  let goal = training.epochs, isRunning = false, shownAt = 0;

  // -- what is shown --

  const sentence = element("p", { class: "quiet" });
  const progress = element("p", { class: "progress", "aria-live": "off" });
  const failure = element("p", { class: "failure", role: "alert" });
  const table = element("table", { class: "scores" });
  const charts = element("div", { class: "charts" });

  const points = (part, name) => trainer.epochs.filter((epoch) => epoch[part]).map((epoch) => [epoch.time, epoch[part][name]]);
  const chart = (name) => {
    const lines = ["training", "validation"].map((kind) => ({ kind, points: points(kind, name) }));
    if (name === "loss") lines.unshift({ kind: "steps", points: trainer.steps.map(({ time, loss }) => [time, loss]) });
    return element("figure", {}, element("figcaption", {}, Hornbeam.titleOf(name)), Hornbeam.curves({
      title: Hornbeam.titleOf(name), end: Math.max(goal, Math.ceil(trainer.steps.at(-1)?.time ?? 0)), lines,
      percent: isShare(name),
    }));
  };
  const cell = (name, logs) => element("td", {}, !logs ? "" : isShare(name) ? Hornbeam.percent(logs[name]) : Hornbeam.shortNumber(logs[name]));
  const showTable = () => {
    const last = trainer.epochs.at(-1);
    const names = ["loss", ...scores].slice(0, 4);
    const row = (kind, title) => element("tr", {},
      element("th", { scope: "row" }, element("i", { class: `key ${kind}`, "aria-hidden": "true" }), title),
      ...names.map((name) => cell(name, last?.[kind])));
    table.replaceChildren(
      element("thead", {}, element("tr", {}, element("th", {}, last ? `epoch ${last.time}` : "no epoch yet"),
        ...names.map((name) => element("th", { scope: "col" }, Hornbeam.titleOf(name))))),
      element("tbody", {}, row("training", "training"), trainer.validationRows ? row("validation", "validation") : null));
  };
  const show = () => {
    const count = trainer.updatesPerEpoch;
    sentence.textContent = Hornbeam.trainingSentence(trainer);
    progress.textContent = `epoch ${Math.min(trainer.epochs.length + (isRunning ? 1 : 0), Math.max(goal, trainer.epochs.length))} of ${goal}, ` +
      `${trainer.updates.toLocaleString("en")} ${trainer.updates === 1 ? "update" : "updates"} of ${(goal * count).toLocaleString("en")}`;
    showTable();
    charts.replaceChildren(...["loss", ...scores.slice(0, 1)].map(chart));
    plane?.draw();
    play.textContent = isRunning ? "Pause" : trainer.updates ? "Continue" : "Train";
    shownAt = performance.now();
  };

  // -- what happens --

  const isDone = () => trainer.epochs.length >= goal;
  const advance = () => {
    const event = trainer.next();
    if (event === "update" && !Number.isFinite(trainer.steps.at(-1).loss)) {
      isRunning = false;
      failure.textContent = "The loss is no longer a number: the learning rate is too large. Start anew with a smaller one.";
    }
    return event;
  };
  const work = () => {
    try {
      // Long enough to train, short enough that the page answers a pen meanwhile.
      for (const end = performance.now() + 25; isRunning && performance.now() < end;) {
        if (advance() === "epoch" && isDone()) isRunning = false;
      }
    } catch (error) {
      isRunning = false;
      failure.textContent = error.message;
    }
    if (!isRunning || performance.now() - shownAt > 120) {
      show();
      onChange();
    }
    if (isRunning) setTimeout(work);
  };
  const begin = () => {
    if (isDone()) goalInput.value = goal = trainer.epochs.length + training.epochs;
    isRunning = true;
    failure.textContent = "";
    work();
  };
  const stop = () => { isRunning = false; };
  const step = () => {
    stop();
    while (advance() !== "update");
    show();
    onChange();
  };
  const reset = (signature) => () => {
    const rate = trainer.learningRate;
    stop();
    failure.textContent = "";
    trainer.reset(signature);
    if (rate !== null) trainer.learningRate = rate;
    show();
    onChange();
  };

  // -- controls --

  const button = (text, click, attributes = {}) => element("button", { type: "button", click, ...attributes }, text);
  const play = button("Train", () => { if (isRunning) { stop(); show(); } else begin(); }, { class: "primary" });
  const number = (label, value, attributes, set) => {
    const id = Hornbeam.freshId("training");
    const input = element("input", { type: "number", id, value, ...attributes, change: () => {
      const wanted = Number(input.value);
      if (input.value === "" || !input.checkValidity()) input.value = value;
      else set(value = wanted);
      show();
    } });
    return [element("div", { class: "setting" }, element("label", { for: id }, label), input), input];
  };
  const [rate] = training.learning_rate === null ? [null] : number(
    "learning rate", Number(trainer.learningRate.toPrecision(6)), { min: 0, step: "any" }, (value) => { trainer.learningRate = value; });
  const [size] = number("batch size", trainer.batchSize, { min: 1, max: trainer.rows, step: 1 }, (value) => { trainer.batchSize = value; });
  const [epochs, goalInput] = number("epochs", goal, { min: 1, step: 1 }, (value) => { goal = value; });
  const key = (kind, text) => element("span", {}, element("i", { class: `key ${kind}`, "aria-hidden": "true" }), text);

  const root = element("section", { class: "card train" },
    element("h2", {}, "Train the model"),
    element("div", { class: "training-grid" },
      element("div", {}, sentence,
        element("div", { class: "settings" }, rate, size, epochs),
        element("div", { class: "buttons" }, play, button("One update", step),
          button("Exported weights", reset("state")), button("New weights", reset("initial_state"))),
        progress, failure, table),
      plane === null ? null : element("div", {}, plane.element,
        element("p", { class: "quiet" }, "The color is the class that the model names at a point; it is strong where it is sure. ",
          trainer.validationRows ? "Dots are training samples, rings validation samples." : "Dots are training samples.")),
      element("div", {}, charts, element("p", { class: "keys quiet" },
        key("steps", "loss of each batch"), key("training", "training, mean of the epoch"),
        trainer.validationRows ? key("validation", "validation, after the epoch") : null))));
  show();
  return { element: root, trainer, begin };
};

/** What an epoch is, for these data. */
Hornbeam.trainingSentence = ({ rows, validationRows, batchSize, updatesPerEpoch }) => {
  const updates = `${updatesPerEpoch} ${updatesPerEpoch === 1 ? "weight update" : "weight updates"}`;
  const validation = validationRows
    ? `After each epoch the model is evaluated on ${validationRows.toLocaleString("en")} validation samples, from which it does not learn.`
    : "There are no validation samples here, so that memorizing looks like learning.";
  return `An epoch shows the model all ${rows.toLocaleString("en")} training samples once, ${batchSize} at a time: ` +
    `${updates}. ${validation}`;
};
