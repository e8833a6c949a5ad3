// The page of `hornbeam watch`: its state, the events of the server, and what the user chose.
"use strict";

(() => {
  const { element } = Hornbeam;
  const find = (id) => document.getElementById(id);
  const COLORS = 10;
  const runs = new Map(), histories = new Map(), colors = new Map(), charts = new Map(), details = new Map();
  let control = false, pointed = null, isDrawing = false, hasBegun = false, compared = "";

  // What follows # never leaves the browser; the token is kept for this tab, the choice in the address.
  const hash = new URLSearchParams(location.hash.slice(1));
  if (hash.get("token")) sessionStorage.setItem("token", hash.get("token"));
  const wanted = hash.getAll("run");
  const keepChoice = () => {
    const text = String(new URLSearchParams([...colors.keys()].map((name) => ["run", name])));
    history.replaceState(null, "", text ? `#${text}` : location.pathname);
  };

  const now = () => Date.now() / 1000;
  const answered = async (request) => {
    const answer = await request.catch(() => { throw new Error("The server does not answer: is hornbeam watch still running?"); });
    const content = await answer.json();
    if (!answer.ok) throw new Error(content.error);
    return content;
  };
  const ask = (method, path, body) => answered(fetch(path, {
    method, body: body && JSON.stringify(body), headers: { Authorization: `Bearer ${sessionStorage.getItem("token")}` },
  }));

  // -- the choice --

  const isChosen = (name) => colors.has(name);
  const freeColor = () => {
    const used = [...colors.values()];
    const counts = Array.from({ length: COLORS }, (_, color) => used.filter((each) => each === color).length);
    return counts.indexOf(Math.min(...counts));
  };
  const choose = (names, chosen) => {
    for (const name of names) {
      if (!chosen) colors.delete(name);
      else if (!colors.has(name)) {
        colors.set(name, freeColor());
        load(name);
      }
    }
    keepChoice();
    show();
  };
  const load = async (name) => {
    if (!runs.has(name)) return;
    try {
      histories.set(name, await answered(fetch(`/api/runs/${encodeURIComponent(name)}/history`)));
      draw();
    } catch (error) {
      find("failure").textContent = error.message;
    }
  };

  // -- what is shown --

  // Names of the runs that share a configuration and have different seeds, by the name of each.
  let groups = new Map();
  const regroup = () => {
    const same = new Map();
    for (const run of runs.values()) {
      if (run.configuration !== null) same.set(run.configuration, [...(same.get(run.configuration) ?? []), run]);
    }
    const repeated = [...same.values()].filter((members) => new Set(members.map(({ seed }) => seed)).size > 1);
    groups = new Map(repeated.flatMap((members) => members.map(({ run }) => [run, members.map((each) => each.run)])));
  };
  const chosenLike = (name) => (groups.get(name) ?? [name]).filter(isChosen);
  const mayJoin = () => [...colors.keys()].some((name) => chosenLike(name).length > 1);
  const colorOf = (name) => colors.get(mayJoin() && find("bands").checked ? chosenLike(name)[0] ?? name : name);

  const list = Hornbeam.runList({ list: find("runs"), isChosen, colorOf, choose, seedsOf: ({ run }) => groups.get(run) ?? [] });

  const showList = () => {
    const filter = find("filter").value.trim();
    const shown = Hornbeam.sorted([...runs.values()].filter((run) => Hornbeam.matches(run, filter)), find("sort").value);
    list.show(shown, now());
    find("count").textContent = filter ? `${shown.length} of ${runs.size}` : String(runs.size);
  };

  /** What charts show: a series for each chosen run, or one for all chosen runs that differ in seeds alone. */
  const seriesOf = (metric, bands) => {
    const validation = metric.startsWith("val_") ? metric : `val_${metric}`;
    const parts = new Map();
    for (const name of colors.keys()) {
      const run = runs.get(name), past = histories.get(name);
      if (!run || !past) continue;
      const key = bands && chosenLike(name).length > 1 ? `configuration ${run.configuration}` : `run ${name}`;
      parts.set(key, [...(parts.get(key) ?? []), { run, past, color: colorOf(name) }]);
    }
    return [...parts.values()].map((members) => {
      const curves = (each) => members.map(({ past }) => Hornbeam.pointsOf(past, each)).filter((points) => points.length);
      const joined = (each) => {
        const all = curves(each);
        return all.length < 2 ? all[0] ?? [] : Hornbeam.band(all);
      };
      const [{ run, color }] = members;
      const label = members.length > 1 ? `${run.name} (mean of ${members.length} runs)` : run.name;
      return { label, color, train: metric === validation ? [] : joined(metric), validation: joined(validation) };
    }).filter(({ train, validation: other }) => train.length || other.length);
  };

  const drawNow = () => {
    isDrawing = false;
    const chosen = [...colors.keys()].filter((name) => histories.has(name) && runs.has(name));
    const metrics = Hornbeam.metricNames(chosen.map((name) => histories.get(name)));
    const bands = mayJoin() && find("bands").checked;
    find("bands-label").hidden = !mayJoin();
    const end = Math.max(1, ...chosen.map((name) => (runs.get(name).state === "running" && runs.get(name).planned_epochs) || runs.get(name).epoch));
    for (const [metric, chart] of charts) if (!metrics.includes(metric)) { chart.root.remove(); charts.delete(metric); }
    metrics.forEach((metric, index) => {
      if (!charts.has(metric)) {
        charts.set(metric, Hornbeam.runChart(metric, (epoch) => { if (epoch !== pointed) { pointed = epoch; draw(); } }));
      }
      const { root, draw: drawChart } = charts.get(metric), before = find("charts").children[index];
      if (before !== root) find("charts").insertBefore(root, before ?? null);  // moving it would take the focus
      drawChart(seriesOf(metric, bands), end, pointed);
    });
    find("hint").textContent = !runs.size
      ? "No runs yet. A training with callbacks=[hb.callbacks.RunRecorder()] appears here when its first epoch begins."
      : !colors.size ? "Choose runs in the list." : metrics.length ? "" : "No epoch is complete yet.";
  };
  const draw = () => {
    if (isDrawing) return;
    isDrawing = true;
    requestAnimationFrame(drawNow);
  };

  const showDetails = () => {
    for (const [name, card] of details) if (!isChosen(name) || !runs.has(name)) { card.root.remove(); details.delete(name); }
    for (const name of colors.keys()) {
      if (!runs.has(name)) continue;
      if (!details.has(name)) {
        details.set(name, Hornbeam.runDetails(name, ask));
        find("details").append(details.get(name).root);
      }
      details.get(name).update(runs.get(name), now(), control, colorOf(name));
    }
  };

  const showDifferences = async () => {
    const names = [...colors.keys()].filter((name) => runs.has(name));
    find("differences").hidden = names.length < 2;
    const query = String(new URLSearchParams(names.map((name) => ["run", name])));
    if (names.length < 2 || query === compared) return;
    compared = query;
    let content;
    try {
      const { rows } = await answered(fetch(`/api/compare?${query}`));
      content = Hornbeam.differenceTable(names.map((name) => ({ name, color: colorOf(name) })), rows);
    } catch (error) {
      content = element("p", { class: "failure" }, error.message);
    }
    if (compared === query) find("table").replaceChildren(content);
  };

  const show = () => {
    regroup();
    showList();
    showDetails();
    showDifferences();
    draw();
  };

  // -- what the server says --

  /** Choose what the address names, else the runs that are running, else the newest one. */
  const begin = () => {
    hasBegun = true;
    const newest = Hornbeam.sorted([...runs.values()], "newest");
    const running = newest.filter(({ state }) => state === "running").slice(0, 5);
    const first = wanted.length ? wanted : (running.length ? running : newest.slice(0, 1)).map(({ run }) => run);
    choose(first.filter((name) => runs.has(name)), true);
  };

  const everything = (event) => {
    const content = JSON.parse(event.data);
    control = content.control;
    find("failure").textContent = "";
    find("folder").textContent = content.folder + (control ? "" : " (read-only)");
    runs.clear();
    for (const run of content.runs) runs.set(run.run, run);
    find("errors").replaceChildren(...content.errors.map((text) => element("p", { class: "failure" }, text)));
    for (const name of [...colors.keys()]) if (runs.has(name)) load(name);
    if (hasBegun || !runs.size) show();
    else begin();
  };

  const change = (event) => {
    const { record, first, epochs } = JSON.parse(event.data);
    const isNew = !runs.has(record.run), wasState = runs.get(record.run)?.state;
    runs.set(record.run, record);
    const past = histories.get(record.run);
    if (isChosen(record.run)) {
      if (past && past.epochs.length === first) append(past, epochs);
      else if (!past || epochs.length) load(record.run);
    } else histories.delete(record.run);
    if (isNew && !colors.size) choose([record.run], true);
    else if (isNew || wasState !== record.state) show();
    else {
      list.update(record, now());
      if (isChosen(record.run)) {
        showDetails();
        draw();
      }
    }
  };

  const append = ({ epochs, metrics }, lines) => {
    for (const { epoch, logs } of lines) {
      for (const name of Object.keys(logs)) metrics[name] ??= epochs.map(() => null);
      for (const name of Object.keys(metrics)) metrics[name].push(logs[name] ?? null);
      epochs.push(epoch);
    }
  };

  const listen = () => {
    const events = new EventSource("/api/events");
    events.addEventListener("runs", everything);
    events.addEventListener("run", change);
    events.onerror = () => {
      find("failure").textContent = "The server does not answer: is hornbeam watch still running? The page goes on when it does.";
    };
  };

  find("filter").addEventListener("input", showList);
  find("sort").addEventListener("change", showList);
  find("bands").addEventListener("change", () => { compared = ""; show(); });
  addEventListener("resize", draw);
  // Times left and times of silence go on without events.
  setInterval(() => {
    for (const run of runs.values()) if (run.state === "running" || run.state === "lost") list.update(run, now());
    showDetails();
  }, 1000);
  listen();
})();
