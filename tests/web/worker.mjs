// Runs frozen models for tests. Requests on standard input and replies on standard output are a JSON text and then the
// bytes of its arrays, each after its length in 4 bytes. Usage: node worker.mjs ENGINE.JS MODULE
import { readFileSync, readSync, writeSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { gunzipSync } from "node:zlib";

const [script, module] = process.argv.slice(2);
const { ARRAYS, Engine } = await import(pathToFileURL(script));
const engine = await Engine.create(gunzipSync(readFileSync(module)));
const models = [];

function readBytes(count) {
  const bytes = new Uint8Array(count);
  for (let done = 0; done < count; ) {
    const read = readSync(0, bytes, done, count - done);
    if (read === 0) process.exit(0);
    done += read;
  }
  return bytes;
}

function readPart() {
  return readBytes(new DataView(readBytes(4).buffer).getUint32(0, true));
}

function writePart(bytes) {
  const part = new Uint8Array(4 + bytes.length);
  new DataView(part.buffer).setUint32(0, bytes.length, true);
  part.set(bytes, 4);
  for (let done = 0; done < part.length; ) {
    done += writeSync(1, part, done);
  }
}

const writeText = (message) => writePart(new TextEncoder().encode(JSON.stringify(message)));

const actions = {
  load(_, [bytes]) {
    models.push(engine.load(bytes));
    writeText({ model: models.length - 1, signatures: models.at(-1).signatures, metadata: models.at(-1).metadata });
  },

  run({ model, signature, inputs, rounds }, arrays) {
    const values = inputs.map(({ name, dtype, shape }, i) => [name, { shape, data: new ARRAYS[dtype](arrays[i].buffer) }]);
    const times = [];
    let outputs;
    for (let round = 0; round < rounds; round++) {
      const start = performance.now();
      outputs = models[model].run(Object.fromEntries(values), signature);
      times.push(performance.now() - start);
    }
    const entries = Object.entries(outputs).map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
    writeText({ outputs: entries, times });
    Object.values(outputs).forEach(({ data }) => writePart(new Uint8Array(data.buffer)));
  },

  memory() {
    writeText({ bytes: engine.memory.buffer.byteLength });
  },
};

for (;;) {
  const message = JSON.parse(new TextDecoder().decode(readPart()));
  const parts = Array.from({ length: message.parts }, readPart);
  try {
    actions[message.action](message, parts);
  } catch (error) {
    writeText({ error: error.message, outputs: [] });
  }
}
