// What is known about one run, its notes, and the button that stops it; and the table of differences.
"use strict";

/**
 * The card of a run.
 *
 * @param {string} name Folder of the run.
 * @param {function} ask Sends a request that changes something: `ask(method, path, body)`.
 * @returns `{ root, update(run, now, control, color) }`.
 */
Hornbeam.runDetails = (name, ask) => {
  const { element } = Hornbeam;
  const id = Hornbeam.freshId("notes");
  const title = element("h2"), state = element("span", { class: "state" }), progress = element("p", { class: "quiet" }), facts = element("dl", { class: "facts" });
  const metrics = element("table", { class: "metrics" });
  const failure = element("p", { class: "failure", role: "alert" });
  const area = element("textarea", { id, maxlength: 20000 }), saved = element("span", { class: "quiet", "aria-live": "polite" });
  const save = element("button", { type: "button" }, "Save the note"), stop = element("button", { type: "button" }, "Stop the training");
  const written = element("p"), edited = element("div", {}, element("label", { for: id }, "Note"), area,
    element("div", { class: "buttons" }, save, saved));
  const root = element("section", { class: "card", "aria-label": name },
    element("div", { class: "head" }, title, state), progress, metrics, facts, element("div", { class: "notes" }, written, edited), element("div", { class: "buttons" }, stop), failure);
  const path = `/api/runs/${encodeURIComponent(name)}`;
  let known = "";
  const shown = new Map();
  /** Replace what a node contains, unless it is the same: texts that someone selects stay selected. */
  const fill = (node, content, build) => {
    const text = JSON.stringify(content);
    if (shown.get(node) !== text) node.replaceChildren(...build(content));
    shown.set(node, text);
  };

  const attempt = async (work) => {
    failure.textContent = "";
    try {
      await work();
    } catch (error) {
      failure.textContent = error.message;
    }
  };
  const showSaved = () => {
    save.disabled = area.value === known;
    saved.textContent = save.disabled ? "" : "not saved yet";
  };
  area.addEventListener("input", showSaved);
  save.addEventListener("click", () => attempt(async () => {
    ({ notes: known } = await ask("PUT", `${path}/notes`, { text: area.value, before: known }));
    showSaved();
    if (save.disabled) saved.textContent = "saved";
  }));
  stop.addEventListener("click", () => {
    if (confirm(`Stop ${title.textContent}? It ends after the present step, with validation, callbacks and checkpoints.`)) {
      attempt(() => ask("POST", `${path}/stop`));
    }
  });

  const update = (run, now, control, color) => {
    root.className = `card series-${color}`;
    fill(title, run.name, (text) => [element("i", { class: "key", "aria-hidden": "true" }), text]);
    progress.textContent = Hornbeam.progressText(run, now);
    state.textContent = run.stopping ? "stopping" : run.state;
    state.className = `state ${run.state}`;
    const rows = {
      folder: run.run,
      started: run.started === null ? "" : new Date(1000 * run.started).toLocaleString(),
      "best epoch": run.best_metric === null ? "" : `${run.best_epoch} by ${run.best_metric}`,
      test: run.test_value === null ? "" : `${run.test_metric} ${Hornbeam.metricText(run.test_metric, run.test_value)}` +
        (run.test_low === null || run.test_high === null ? "" :
          ` (${Hornbeam.metricText(run.test_metric, run.test_low)} to ${Hornbeam.metricText(run.test_metric, run.test_high)})`),
      parameters: typeof run.params === "number" ? run.params.toLocaleString("en") : "",
      seed: run.seed ?? "",
      engine: run.engine,
      command: run.command,
    };
    fill(facts, Object.entries(rows).filter(([, text]) => text !== ""), (pairs) => pairs.flatMap(([label, text]) => [
      element("dt", {}, label), element("dd", {}, label === "command" || label === "folder" ? element("code", {}, text) : String(text))]));
    metrics.hidden = !Object.keys(run.metrics).length;
    fill(metrics, run.metrics, (values) => [
      element("thead", {}, element("tr", {}, ...["metric", "last", "best"].map((text) => element("th", { scope: "col" }, text)))),
      element("tbody", {}, ...Object.entries(values).map(([metric, { last, best }]) => element("tr", {}, element("th", { scope: "row" }, metric),
        ...[last, best].map((value) => element("td", {}, Hornbeam.metricText(metric, value))))))]);
    if (area.value === known && run.notes !== known) area.value = known = run.notes;
    else if (area.value === run.notes && known !== run.notes) known = run.notes;
    save.disabled = area.value === known;
    edited.hidden = !control;
    written.hidden = control || !run.notes;
    written.textContent = run.notes;
    stop.parentElement.hidden = !control || run.state !== "running";
    stop.disabled = run.stopping;
  };
  return { root, update };
};

/** The table of what differs: `runs` are `{ name, color }`, `rows` lists of a fact's name and its values. */
Hornbeam.differenceTable = (runs, rows) => {
  const { element } = Hornbeam;
  if (!rows.length) return element("p", { class: "quiet" }, "Settings, data and environment are the same.");
  return element("table", {},
    element("thead", {}, element("tr", {}, element("td"), ...runs.map(({ name, color }) =>
      element("th", { scope: "col" }, element("i", { class: `key series-${color}`, "aria-hidden": "true" }), name)))),
    element("tbody", {}, ...rows.map(([name, ...values]) => element("tr", {}, element("th", { scope: "row" }, name),
      ...values.map((value) => element("td", {}, value))))));
};
