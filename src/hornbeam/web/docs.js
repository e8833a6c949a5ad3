// The description of the interface, from /openapi.json.
"use strict";

(() => {
  const { element } = Hornbeam;
  const pretty = (value) => JSON.stringify(value, null, 2)
    // Lists of numbers on one line.
    .replace(/\[\s+((?:[-\d.e]+,?\s+)+)\]/g, (_, list) => `[${list.trim().replace(/\s+/g, " ")}]`);

  const operation = (path, method, about) => {
    const parts = [element("summary", {},
      element("span", { class: `method ${method}` }, method.toUpperCase()),
      element("code", {}, path), element("span", { class: "quiet" }, about.summary))];
    for (const [media, content] of Object.entries(about.requestBody?.content || {})) {
      parts.push(element("h4", {}, `Body: ${media}`));
      if (content.example) {
        const body = JSON.stringify(content.example);
        parts.push(element("pre", {}, `curl ${location.origin}${path} -d '${body.length > 900 ? "..." : body}'`));
      } else if (!media.includes("json")) {
        parts.push(element("pre", {}, `curl ${location.origin}${path} -H "Content-Type: ${media}" --data-binary @FILE`));
      }
      parts.push(element("pre", {}, pretty(content.schema)));
    }
    const rows = Object.entries(about.responses).map(([code, { description }]) =>
      element("tr", {}, element("td", {}, code), element("td", {}, description)));
    parts.push(element("h4", {}, "Answers"), element("table", {}, element("tbody", {}, ...rows)));
    return element("details", { class: "path" }, ...parts);
  };

  const start = async () => {
    const token = sessionStorage.getItem("token");
    const answer = await fetch("/openapi.json", { headers: token ? { Authorization: `Bearer ${token}` } : {} });
    const content = await answer.json();
    if (!answer.ok) throw new Error(content.error);
    const groups = new Map();
    for (const [path, methods] of Object.entries(content.paths)) {
      for (const [method, about] of Object.entries(methods)) {
        const [tag] = about.tags;
        groups.set(tag, [...(groups.get(tag) || []), operation(path, method, about)]);
      }
    }
    document.getElementById("paths").replaceChildren(...[...groups].map(([tag, operations]) =>
      element("section", { class: "card" }, element("h2", {}, tag), ...operations)));
  };
  start().catch((error) => { document.getElementById("failure").textContent = error.message; });
})();
