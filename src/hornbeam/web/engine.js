// Frozen models in a web page or in Node: the JavaScript side of engine.wasm (crates/hornbeam-web).
//
//   const engine = await Engine.create(bytesOfTheModule);
//   const model = engine.load(bytesOfTheFile);
//   const { output } = model.run({ input: { shape: [1, 28, 28, 1], data: new Float32Array(784) } });
//   output.data; // Float32Array
//
// Errors of the engine are EngineErrors with a reason.

export class EngineError extends Error {}

/** Types of elements. JavaScript has no array of 16-bit floats everywhere: their data are the bits. */
export const ARRAYS = {
  bool: Uint8Array,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  float32: Float32Array,
  float64: Float64Array,
};

const bytesOf = (array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** A model in the module's memory, until it is freed. */
class Model {
  constructor(engine, address) {
    const { hornbeam_description: start, hornbeam_description_bytes: bytes } = engine.functions;
    const { signatures, metadata } = JSON.parse(engine.text(start(address), bytes(address)));
    Object.assign(this, { engine, address, signatures, metadata });
  }

  /**
   * Compute the outputs of a signature: an object from names to { dtype, shape, data }, as the inputs are. A graph is
   * compiled at the first run with inputs of these shapes.
   */
  run(inputs, signature = "predict") {
    const specs = this.signatures[signature];
    const names = specs?.inputs.map(({ name }) => name) ?? [];
    if (specs && (names.some((name) => !inputs[name]) || Object.keys(inputs).length !== names.length)) {
      throw new EngineError(`the inputs are ${names.join(", ")}, got ${Object.keys(inputs).join(", ") || "none"}`);
    }
    const { engine } = this;
    const values = [];
    try {
      for (const { name, dtype } of specs?.inputs ?? []) {
        values.push(engine.value(name, dtype, inputs[name]));
      }
      const outputs = engine.run(this.address, signature, values, specs?.outputs.length ?? 0);
      values.push(...outputs);
      const named = ({ name, dtype }, index) => [name, engine.contents(dtype, outputs[index])];
      return Object.fromEntries(specs.outputs.map(named));
    } finally {
      values.forEach((value) => engine.functions.hornbeam_free_value(value));
    }
  }

  free() {
    this.engine.functions.hornbeam_free_model(this.address);
  }
}

export class Engine {
  /** An engine from the bytes of the module, or from a WebAssembly.Module. */
  static async create(module) {
    const compiled = module instanceof WebAssembly.Module ? module : await WebAssembly.compile(module);
    return new Engine(await WebAssembly.instantiate(compiled, {}));
  }

  constructor(instance) {
    this.functions = instance.exports;
    this.memory = instance.exports.memory;
    this.functions.hornbeam_start();
  }

  /** The model in the bytes of a file that `model.export(path, format="hornbeam")` wrote. */
  load(bytes) {
    const start = this.allocate(bytes.length);
    this.bytes(start, bytes.length).set(bytes);
    return new Model(this, this.call("hornbeam_load", start, bytes.length) || this.fail());
  }

  // What follows works on addresses in the module's memory.

  value(name, dtype, { shape, data }) {
    if (!(data instanceof ARRAYS[dtype])) {
      throw new EngineError(`${name} takes ${dtype} in a ${ARRAYS[dtype].name}, got ${data?.constructor.name}`);
    }
    const count = shape.reduce((product, extent) => product * extent, 1);
    if (count !== data.length) {
      throw new EngineError(`${name} has the shape [${shape}] and so ${count} elements, got ${data.length}`);
    }
    const value = this.with(new TextEncoder().encode(dtype), (text, bytes) =>
      this.with(bytesOf(Uint32Array.from(shape)), (extents) =>
        this.call("hornbeam_value", text, bytes, extents, shape.length),
      ),
    );
    const start = this.functions.hornbeam_data(value || this.fail());
    this.bytes(start, data.byteLength).set(bytesOf(data));
    return value;
  }

  contents(dtype, value) {
    const { hornbeam_data, hornbeam_bytes, hornbeam_rank, hornbeam_extent } = this.functions;
    const bytes = this.bytes(hornbeam_data(value), hornbeam_bytes(value)).slice();
    const shape = Array.from({ length: hornbeam_rank(value) }, (_, axis) => hornbeam_extent(value, axis));
    return { dtype, shape, data: new ARRAYS[dtype](bytes.buffer) };
  }

  run(model, signature, inputs, count) {
    const addresses = bytesOf(Uint32Array.from(inputs));
    return this.with(new TextEncoder().encode(signature), (name, bytes) =>
      this.with(addresses, (values) =>
        this.with(new Uint8Array(4 * count), (outputs) => {
          const done = this.call("hornbeam_run", model, name, bytes, values, inputs.length, outputs);
          return done ? Array.from(new Uint32Array(this.memory.buffer, outputs, count)) : this.fail();
        }),
      ),
    );
  }

  /** The result of `use(start, length)` with bytes in the module's memory meanwhile. */
  with(bytes, use) {
    const start = this.allocate(bytes.length);
    this.bytes(start, bytes.length).set(bytes);
    try {
      return use(start, bytes.length);
    } finally {
      this.functions.hornbeam_free(start, bytes.length);
    }
  }

  allocate(bytes) {
    const start = this.functions.hornbeam_allocate(bytes);
    if (!start) throw new EngineError(`out of memory: ${bytes} bytes`);
    return start;
  }

  bytes(start, length) {
    return new Uint8Array(this.memory.buffer, start, length);
  }

  text(start, length) {
    return new TextDecoder().decode(this.bytes(start, length));
  }

  /** Call a function of the module. A trap becomes an error with its reason, after which the engine cannot be used. */
  call(name, ...args) {
    try {
      return this.functions[name](...args);
    } catch (error) {
      throw error instanceof WebAssembly.RuntimeError ? new EngineError(this.reason() || error.message) : error;
    }
  }

  reason() {
    return this.text(this.functions.hornbeam_error(), this.functions.hornbeam_error_bytes());
  }

  fail() {
    throw new EngineError(this.reason());
  }
}
