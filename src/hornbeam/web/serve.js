// The page of `hornbeam serve`: its models, and requests by the Open Inference Protocol.
"use strict";

(() => {
  const { element } = Hornbeam;
  const DTYPES = {
    BOOL: "bool", UINT8: "uint8", UINT16: "uint16", UINT32: "uint32", UINT64: "uint64", INT8: "int8",
    INT16: "int16", INT32: "int32", INT64: "int64", FP16: "float16", BF16: "bfloat16", FP32: "float32",
    FP64: "float64", BYTES: "string",
  };
  const DATATYPES = Object.fromEntries(Object.entries(DTYPES).map(([name, dtype]) => [dtype, name]));
  const find = (id) => document.getElementById(id);

  // What follows # never leaves the browser.
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem("token", given);
    history.replaceState(null, "", location.pathname);
  }

  const ask = async (path, body) => {
    const token = sessionStorage.getItem("token");
    const answer = await fetch(path, {
      method: body ? "POST" : "GET", body,
      headers: { ...(body && { "Content-Type": "application/json" }), ...(token && { Authorization: `Bearer ${token}` }) },
    }).catch(() => { throw new Error("The server does not answer: is it still running?"); });
    const content = await answer.json();
    if (answer.ok) return content;
    if (answer.status === 401) find("sign-in").hidden = false;
    throw new Error(content.error);
  };

  const specOf = (tensor) => ({
    name: tensor.name, dtype: DTYPES[tensor.datatype], shape: tensor.shape.map((size) => (size < 0 ? null : size)),
  });

  const requestOf = (inputs) => JSON.stringify({
    inputs: Object.entries(inputs).map(([name, { dtype, shape, data }]) => ({
      name, datatype: DATATYPES[dtype], shape, data: Array.from(data),
    })),
  });

  const show = async (name) => {
    for (const button of find("models").children) {
      button.setAttribute("aria-pressed", String(button.dataset.name === name));
    }
    const metadata = await ask(`/v2/models/${name}`);
    const signature = { inputs: metadata.inputs.map(specOf), outputs: metadata.outputs.map(specOf) };
    const command = element("pre", {});
    Hornbeam.mount(find("try"), signature, metadata.parameters, async (inputs) => {
      const body = requestOf(inputs);
      command.textContent = commandOf(name, body);
      const answer = await ask(`/v2/models/${name}/infer`, body);
      return Object.fromEntries(answer.outputs.map((tensor) => [
        tensor.name, { ...specOf(tensor), data: tensor.data },
      ]));
    });
    find("try").append(details(name, metadata, signature, command));
  };

  const commandOf = (name, body) => {
    const token = sessionStorage.getItem("token") ? ' -H "Authorization: Bearer $HORNBEAM_TOKEN"' : "";
    const shown = body.length > 1500 ? `${body.slice(0, 400)} ... (${body.length.toLocaleString()} bytes)` : body;
    return `curl ${location.origin}/v2/models/${name}/infer${token} \\\n  -H "Content-Type: application/json" -d '${shown}'`;
  };

  const details = (name, metadata, signature, command) => {
    const row = (role) => (spec) => element("tr", {},
      element("td", {}, role), element("td", {}, spec.name), element("td", {}, element("code", {}, Hornbeam.typeText(spec))));
    return element("section", { class: "card more" },
      element("details", {}, element("summary", {}, "The model"),
        element("p", { class: "quiet" }, `${name}, versions ${metadata.versions.join(", ")}`),
        element("table", {}, element("tbody", {}, ...signature.inputs.map(row("input")), ...signature.outputs.map(row("output"))))),
      element("details", {}, element("summary", {}, "The same request by curl"), command));
  };

  const fail = (error) => { find("failure").textContent = error.message; };

  const start = async () => {
    find("failure").textContent = "";
    const index = await ask("/v2/repository/index");
    const names = [...new Set(index.map((model) => model.name))];
    find("models").replaceChildren(...names.map((name) => element("button", {
      type: "button", "data-name": name, click: () => { location.hash = name; },
    }, name)));
    find("models").hidden = names.length < 2;
    const chosen = () => names.find((name) => name === location.hash.slice(1)) || names[0];
    onhashchange = () => show(chosen()).catch(fail);
    await show(chosen());
  };

  find("sign-in").addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem("token", find("token").value.trim());
    find("sign-in").hidden = true;
    start().catch(fail);
  });
  start().catch(fail);
})();
