// The list of runs: texts of a run, filter, order, choice.
"use strict";

/** The text of a metric's value, as `hornbeam runs` prints it. */
Hornbeam.metricText = (name, value) => {
  if (value === null || value === undefined) return "–";
  if (name.includes("acc") && value >= 0 && value <= 1) return `${(100 * value).toFixed(2)} %`;
  const short = Number(value.toPrecision(4));
  return Math.abs(short) >= 1e6 || (short !== 0 && Math.abs(short) < 1e-4) ? short.toExponential() : String(short);
};

/** The text of a time span in seconds. */
Hornbeam.timeText = (seconds) => {
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60), hours = Math.floor(minutes / 60);
  if (hours < 1) return `${minutes} min ${String(Math.floor(seconds % 60)).padStart(2, "0")} s`;
  return hours < 48 ? `${hours} h ${String(minutes % 60).padStart(2, "0")} min` : `${Math.round(hours / 24)} days`;
};

/** How far a run is, and how long it will take. */
Hornbeam.progressText = (run, now) => {
  const planned = run.planned_epochs;
  const done = run.state === "running" && run.position ? run.epoch + 1 : run.epoch;
  const parts = [run.state === "finished" || planned === null ? `epoch ${done}` : `epoch ${done} of ${planned}`];
  if (run.state === "running") {
    if (run.position) parts.push(`step ${run.position.step} of ${run.position.steps}`);
    if (run.ends_at !== null) parts.push(`${Hornbeam.timeText(Math.max(0, run.ends_at - now))} left`);
  } else if (run.state === "lost") {
    parts.push(`silent for ${Hornbeam.timeText(Math.max(0, now - run.last_sign))}`);
  } else {
    parts.push(Hornbeam.timeText(run.seconds));
  }
  return parts.join(", ");
};

/** The part of the planned epochs that is done, from 0 to 1. */
Hornbeam.partDone = (run) => {
  const within = run.position ? run.position.step / run.position.steps : 0;
  return run.planned_epochs ? Math.min(1, (run.epoch + within) / run.planned_epochs) : 0;
};

/** Whether a run has all words of a filter, in its name, command, engine, state or notes. */
Hornbeam.matches = (run, filter) => {
  const text = [run.run, run.name, run.command, run.engine, run.state, run.notes].join("\n").toLowerCase();
  return filter.toLowerCase().split(/\s+/).every((word) => text.includes(word));
};

/** Runs in an order: "newest", "state", "score", "name" or "time". */
Hornbeam.sorted = (runs, order) => {
  const newest = (a, b) => (b.started ?? 0) - (a.started ?? 0) || (a.run < b.run ? 1 : -1);
  const states = ["running", "lost", "stopped", "finished"];
  const score = ({ best_value, larger_is_better }) => best_value === null ? Infinity : larger_is_better ? -best_value : best_value;
  const orders = {
    newest,
    state: (a, b) => states.indexOf(a.state) - states.indexOf(b.state) || newest(a, b),
    // Values of one metric alone can be compared: those of larger and of smaller is better stay apart.
    score: (a, b) => Number(b.larger_is_better) - Number(a.larger_is_better) ||
      (a.best_metric ?? "").localeCompare(b.best_metric ?? "") || score(a) - score(b) || newest(a, b),
    name: (a, b) => a.name.localeCompare(b.name) || newest(a, b),
    time: (a, b) => b.seconds - a.seconds || newest(a, b),
  };
  return [...runs].sort(orders[order]);
};

/**
 * The list.
 *
 * @param {object} options `list`: its element; `isChosen(name)`, `colorOf(name)`; `choose(names, chosen)` is called
 *   with the names of runs and whether they are now chosen; `seedsOf(run)`: names of runs with the same configuration.
 */
Hornbeam.runList = ({ list, isChosen, colorOf, choose, seedsOf }) => {
  const { element } = Hornbeam;
  const rows = new Map();

  const rowOf = (name) => {
    const box = element("input", { type: "checkbox", change: () => choose([name], box.checked) });
    const title = element("span", { class: "name" }), state = element("span", { class: "state" });
    const progress = element("span"), score = element("span");
    const fill = element("div", { class: "fill" }), track = element("div", { class: "track", "aria-hidden": "true" }, fill);
    const seeds = element("button", { class: "seeds", type: "button", hidden: true });
    const root = element("li", { class: "run" },
      element("label", {}, box, title, state), element("div", { class: "line" }, progress, score, seeds), track);
    let same = [];
    seeds.addEventListener("click", () => choose(same, !same.every(isChosen)));
    const update = (run, now) => {
      const chosen = isChosen(name);
      root.className = `run${chosen ? ` chosen series-${colorOf(name)}` : ""}`;
      box.checked = chosen;
      title.textContent = run.name;
      title.title = run.run;
      state.textContent = run.stopping ? "stopping" : run.state;
      state.className = `state ${run.state}`;
      progress.textContent = Hornbeam.progressText(run, now);
      score.textContent = run.best_metric === null ? "" :
        `best ${run.best_metric.replace(/^val_/, "")} ${Hornbeam.metricText(run.best_metric, run.best_value)}`;
      track.hidden = run.state !== "running";
      fill.style.width = `${100 * Hornbeam.partDone(run)}%`;
      same = seedsOf(run);
      seeds.hidden = same.length < 2;
      seeds.textContent = `${same.length} seeds`;
      seeds.title = "Choose all runs of this configuration";
    };
    return { root, update };
  };

  return {
    /** Show runs in their order. */
    show: (runs, now) => {
      const names = new Set(runs.map(({ run }) => run));
      for (const [name, row] of rows) if (!names.has(name)) { row.root.remove(); rows.delete(name); }
      runs.forEach((run, index) => {
        if (!rows.has(run.run)) rows.set(run.run, rowOf(run.run));
        const row = rows.get(run.run);
        row.update(run, now);
        if (list.children[index] !== row.root) list.insertBefore(row.root, list.children[index] ?? null);
      });
    },
    /** Show new values of one run, without a change of the order. */
    update: (run, now) => rows.get(run.run)?.update(run, now),
  };
};
