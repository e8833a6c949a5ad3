// The loop of `fit` over the training step that a page contains. It follows elements.js, and needs no document.
"use strict";

/** Random numbers from 0 to 1 that a seed repeats (mulberry32). */
Hornbeam.randomNumbers = (seed) => () => {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
};

/** Arrays of the data: those of training, then those of validation, if there are any. */
Hornbeam.readData = (bytes, { arrays, rows }, types) => {
  let start = 0;
  return rows.map((count) => arrays.map(({ name, dtype, shape }) => {
    const size = shape.reduce((product, extent) => product * extent, 1);
    const part = bytes.slice(start, start += count * size * types[dtype].BYTES_PER_ELEMENT);
    return { name, shape, size, data: new types[dtype](part.buffer) };
  }));
};

Hornbeam.Trainer = class {
  /**
   * @param {object} model With the signatures "train", "evaluate", "state" and "initial_state".
   * @param {object[][]} data As `readData` returns them.
   */
  constructor(model, data) {
    const { training } = model.metadata;
    const [rows, validationRows = 0] = training.rows;
    Object.assign(this, { model, data, training, rows, validationRows });
    this.batchSize = Math.min(training.batch_size, rows);
    this.reset("state");
  }

  /** Begin anew from "state", the exported weights, or "initial_state", weights of a new model. */
  reset(signature) {
    this.state = this.model.run({}, signature);
    const { metrics } = this.training;
    this.emptyMetrics = Object.fromEntries(metrics.map((name) => [name, this.state[name]]));
    this.random = Hornbeam.randomNumbers(0);
    this.updates = 0;
    // `time` is in epochs. An epoch has the logs of training and validation.
    this.steps = [];
    this.epochs = [];
    this.work = this.makeEpochs();
  }

  get updatesPerEpoch() {
    return Math.ceil(this.rows / this.batchSize);
  }

  get learningRate() {
    const name = this.training.learning_rate;
    return name ? this.state[name].data[0] : null;
  }

  set learningRate(value) {
    const name = this.training.learning_rate;
    const { data, ...rest } = this.state[name];
    this.state[name] = { ...rest, data: data.constructor.of(value) };
  }

  /** What a signature computes from inputs and the state. It keeps the new state. */
  run(signature, inputs) {
    const names = this.model.signatures[signature].inputs.map(({ name }) => name);
    const given = Object.fromEntries(names.map((name) => [name, inputs[name] ?? this.state[name]]));
    const results = {};
    for (const [name, value] of Object.entries(this.model.run(given, signature))) {
      if (name.endsWith(".next")) this.state[name.slice(0, -5)] = value;
      else results[name] = value;
    }
    return results;
  }

  /** One weight update, or a batch of an evaluation after an epoch. Returns "update", "evaluation" or "epoch". */
  next() {
    return this.work.next().value;
  }

  * makeEpochs() {
    for (;;) {
      const order = this.shuffled();
      Object.assign(this.state, this.emptyMetrics);
      let logs, before = 0;
      for (let first = 0; first < this.rows;) {
        const rows = order.subarray(first, first + this.batchSize);
        logs = this.numbers(this.run("train", this.batch(0, rows)));
        first += rows.length;
        this.updates++;
        // The loss of an epoch is a mean so far. That of the batch is what it adds.
        const loss = (logs.loss * first - before) / rows.length;
        before = logs.loss * first;
        this.steps.push({ time: this.epochs.length + first / this.rows, loss });
        yield "update";
      }
      const validation = this.validationRows ? yield* this.evaluation(1) : null;
      this.epochs.push({ time: this.epochs.length + 1, training: logs, validation });
      yield "epoch";
    }
  }

  * evaluation(part) {
    Object.assign(this.state, this.emptyMetrics);
    const count = this.training.rows[part];
    let logs;
    for (let first = 0; first < count; first += 256) {
      const rows = Uint32Array.from({ length: Math.min(256, count - first) }, (_, i) => first + i);
      logs = this.numbers(this.run("evaluate", this.batch(part, rows)));
      yield "evaluation";
    }
    return logs;
  }

  numbers(results) {
    return Object.fromEntries(Object.entries(results).map(([name, { data }]) => [name, Number(data[0])]));
  }

  shuffled() {
    const order = Uint32Array.from({ length: this.rows }, (_, i) => i);
    for (let i = order.length - 1; i > 0; i--) {
      const other = Math.floor(this.random() * (i + 1));
      [order[i], order[other]] = [order[other], order[i]];
    }
    return order;
  }

  batch(part, rows) {
    return Object.fromEntries(this.data[part].map(({ name, shape, size, data }) => {
      const values = new data.constructor(rows.length * size);
      rows.forEach((row, i) => values.set(data.subarray(row * size, (row + 1) * size), i * size));
      return [name, { shape: [rows.length, ...shape], data: values }];
    }));
  }
};
