// Shows the OpenAPI document of this service and sends requests to it. No library, nothing from elsewhere.

const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};

let components = {};
const resolve = (schema) => (schema?.$ref ? components[schema.$ref.split("/").pop()] : schema) ?? {};

const typeOf = (schema) => {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) return choices.map(typeOf).join(" or ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.type === "array") return `list of ${typeOf(schema.items)}`;
  if (schema.additionalProperties?.type) return `map to ${typeOf(schema.additionalProperties)}`;
  return schema.type ?? "anything";
};

const LIMITS = { minimum: "≥", maximum: "≤", minLength: "at least", maxLength: "at most", maxItems: "at most", pattern: "like" };

const notes = (schema) => {
  const parts = [schema, ...(schema.anyOf ?? [])];
  const limits = parts.flatMap((part) =>
    Object.entries(LIMITS).filter(([name]) => part[name] !== undefined).map(([name, word]) => `${word} ${part[name]}`));
  const text = parts.map((part) => part.description).filter(Boolean);
  const standard = schema.default === undefined || schema.default === null ? [] : [`default ${JSON.stringify(schema.default)}`];
  return [...new Set([...text, ...limits, ...standard])].join("; ");
};

const fields = (rows) =>
  make("table", {},
    make("thead", {}, make("tr", {}, ...["name", "type", ""].map((text) => make("th", { scope: "col" }, text)))),
    make("tbody", {}, ...rows.map(([name, schema, required]) =>
      make("tr", {},
        make("td", {}, make("code", {}, name), required ? " *" : ""),
        make("td", {}, make("code", {}, typeOf(schema))),
        make("td", {}, notes(schema))))));

/** A schema's fields, and those of the structs it names, each once. */
const shapes = (schema, shown = new Set()) => {
  const parts = [schema, ...(schema?.anyOf ?? schema?.oneOf ?? [])];
  const named = parts.flatMap((part) => [part, part?.items]).filter((part) => part?.$ref);
  return named.flatMap((part) => {
    const name = typeOf(part);
    if (shown.has(name)) return [];
    shown.add(name);
    const struct = resolve(part);
    const properties = Object.entries(struct.properties ?? {});
    const rows = properties.map(([field, value]) => [field, value, struct.required?.includes(field)]);
    return [make("h3", {}, name), fields(rows), ...properties.flatMap(([, value]) => shapes(value, shown))];
  });
};

const schemaOf = (content) => Object.values(content ?? {})[0]?.schema;
const exampleOf = (content) => Object.values(content ?? {})[0]?.example;

const tryOut = (path, method, operation) => {
  const parameters = operation.parameters ?? [];
  const inputs = parameters.map((parameter) => [parameter, make("input", { name: parameter.name })]);
  const body = operation.requestBody && make("textarea", { rows: "5", spellcheck: "false" });
  if (body) body.value = JSON.stringify(exampleOf(operation.requestBody.content) ?? {}, null, 2);
  const answer = make("pre", { role: "status", "aria-label": "Answer", tabindex: "0" });
  answer.hidden = true;
  const form = make("form", {},
    ...inputs.map(([parameter, input]) => make("label", {}, make("span", {}, parameter.name), input)),
    ...(body ? [make("label", {}, make("span", {}, "Body (JSON)"), body)] : []),
    make("button", { type: "submit" }, "Send"), answer);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const query = new URLSearchParams();
    let target = path;
    for (const [parameter, input] of inputs) {
      if (parameter.in === "path") target = target.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
      else if (input.value !== "") query.set(parameter.name, input.value);
    }
    answer.hidden = false;
    answer.textContent = "…";
    try {
      const response = await fetch(query.size ? `${target}?${query}` : target, {
        method: method.toUpperCase(),
        headers: body ? { "Content-Type": "application/json" } : {},
        body: body?.value,
      });
      const text = await response.text();
      const isJson = response.headers.get("content-type")?.includes("json");
      answer.textContent = `${response.status}\n${isJson ? JSON.stringify(JSON.parse(text), null, 2) : text}`;
    } catch (error) {
      answer.textContent = String(error);
    }
  });
  return form;
};

const route = (path, method, operation) => {
  const inside = make("div", { class: "inside" });
  if (operation.description) inside.append(make("p", {}, operation.description));
  if (operation.parameters?.length) {
    const rows = operation.parameters.map((parameter) => [parameter.name, parameter.schema, parameter.required]);
    inside.append(make("h3", {}, "Parameters"), fields(rows));
  }
  if (operation.requestBody) inside.append(...shapes(schemaOf(operation.requestBody.content)));
  const answers = Object.entries(operation.responses).map(([status, response]) =>
    make("tr", {},
      make("td", {}, make("code", {}, status)),
      make("td", {}, make("code", {}, typeOf(schemaOf(response.content)))),
      make("td", {}, response.description)));
  inside.append(make("h3", {}, "Answers"), make("table", {}, make("tbody", {}, ...answers)));
  for (const [status, response] of Object.entries(operation.responses)) {
    if (status < 300) inside.append(...shapes(schemaOf(response.content)));
  }
  inside.append(make("h3", {}, "Try it"), tryOut(path, method, operation));
  return make("details", {},
    make("summary", {},
      make("span", { class: "method" }, method.toUpperCase()),
      make("code", {}, path),
      make("span", { class: "what" }, operation.summary ?? "")),
    inside);
};

const show = async () => {
  const main = document.getElementById("routes");
  try {
    const response = await fetch("/schema/openapi.json");
    if (!response.ok) throw new Error(`The document answered ${response.status}.`);
    const api = await response.json();
    components = api.components?.schemas ?? {};
    document.getElementById("about").textContent = `${api.info.description ?? ""} Version ${api.info.version}.`;
    const groups = new Map();
    for (const [path, methods] of Object.entries(api.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        const tag = operation.tags?.[0] ?? "other";
        groups.set(tag, [...(groups.get(tag) ?? []), route(path, method, operation)]);
      }
    }
    main.replaceChildren(...[...groups].map(([tag, routes]) => make("section", {}, make("h2", {}, tag), ...routes)));
  } catch (error) {
    main.replaceChildren(make("p", { role: "alert" }, `The document cannot be shown. ${error.message}`));
  }
  main.removeAttribute("aria-busy");
};

show();
