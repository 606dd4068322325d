// The page of the API: search its calls, open the one that an address names, and try a call.
// The page reads well without this file.
const byId = (id) => document.getElementById(id);

// --- search ---

const search = byId("api-search");
const calls = [...document.querySelectorAll(".api-call")];

search.addEventListener("input", () => {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let found = 0;
  for (const call of calls) {
    const text = call.textContent.toLowerCase();
    call.hidden = !words.every((word) => text.includes(word));
    if (!call.hidden) found += 1;
  }
  for (const group of document.querySelectorAll(".api-group")) group.hidden = !group.querySelector(".api-call:not([hidden])");
  byId("api-found").textContent = words.length ? `${found} of ${calls.length} calls` : "";
});

const openTarget = () => {
  const target = byId(decodeURIComponent(location.hash.slice(1)));
  if (target?.matches("details")) target.open = true;
};
addEventListener("hashchange", openTarget);
openTarget();

// --- try ---

const READ = ["GET", "HEAD"];
const SHOWN = ["x-credits-cost", "x-credits-remaining", "idempotent-replayed", "location", "retry-after", "x-request-id"];
const dialog = byId("try");
let described;
let current;

const exampleOf = (content = {}) => content.example ?? Object.values(content.examples ?? {})[0]?.value;

const addField = (id, label, value, area) => {
  const field = document.createElement("div");
  field.className = "field";
  const name = document.createElement("label");
  name.className = "field-label";
  name.htmlFor = id;
  name.textContent = label;
  const input = document.createElement(area ? "textarea" : "input");
  Object.assign(input, { id, className: "input", autocomplete: "off", spellcheck: false, value });
  field.append(name, input);
  byId("try-fields").append(field);
};

const begin = async (button) => {
  const [method, path] = button.dataset.try.split(" ");
  described ??= fetch("/api/openapi.json").then((response) => response.json());
  const operation = (await described).paths[path][method.toLowerCase()];
  current = { method, path, parameters: operation.parameters.filter((each) => each.in !== "cookie") };
  byId("try-fields").replaceChildren();
  byId("try-call").textContent = `${method} ${path}`;
  current.parameters.forEach((parameter, index) => {
    const optional = parameter.required ? "" : ", optional";
    addField(`try-${index}`, `${parameter.name} (${parameter.in}${optional})`, "", false);
  });
  const content = operation.requestBody?.content?.["application/json"];
  current.hasBody = Boolean(content);
  if (content) addField("try-body", "Body", JSON.stringify(exampleOf(content) ?? {}, null, 2), true);
  settle("", "");
  dialog.showModal();
};

const settle = (status, answer) => {
  byId("try-confirm").hidden = true;
  byId("try-send").textContent = "Send";
  byId("try-status").textContent = status;
  byId("try-answer").textContent = answer;
  byId("try-answer").hidden = !answer;
};

const requestOf = () => {
  const headers = {};
  const query = new URLSearchParams();
  let path = current.path;
  current.parameters.forEach((parameter, index) => {
    const value = byId(`try-${index}`).value;
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(value));
    else if (value && parameter.in === "query") query.set(parameter.name, value);
    else if (value) headers[parameter.name] = value;
  });
  const options = { method: current.method, headers, credentials: "same-origin", cache: "no-store" };
  const key = byId("try-key").value.trim();
  if (key) {
    headers.Authorization = `Bearer ${key}`;
    options.credentials = "omit";
  }
  if (current.hasBody) {
    headers["Content-Type"] = "application/json";
    options.body = byId("try-body").value;
  }
  const search = query.size ? `?${query}` : "";
  return [path + search, options];
};

const shownBody = async (response) => {
  const type = response.headers.get("Content-Type") ?? "";
  if (!/json|text/.test(type)) return `${(await response.blob()).size} bytes of ${type || "nothing"}`;
  const text = await response.text();
  if (!type.includes("json")) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
};

const send = async () => {
  const button = byId("try-send");
  if (!READ.includes(current.method) && byId("try-confirm").hidden) {
    byId("try-confirm").hidden = false;
    button.textContent = `Yes, send this ${current.method}`;
    return;
  }
  settle("Waiting for the answer.", "");
  button.disabled = true;
  try {
    const [address, options] = requestOf();
    const response = await fetch(address, options);
    const headers = SHOWN.filter((name) => response.headers.has(name)).map((name) => `${name}: ${response.headers.get(name)}\n`);
    const body = await shownBody(response);
    settle(`${response.status} ${response.statusText}`, `${headers.join("")}\n${body}`.trim() || "Nothing.");
    byId("try-status").scrollIntoView({ block: "start" });
  } catch (error) {
    settle(`No answer: ${error.message}`, "");
  } finally {
    button.disabled = false;
  }
};

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-try]");
  if (button) begin(button);
});
byId("try-form").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
// A changed call is confirmed anew; a key is not left for whoever comes next.
byId("try-form").addEventListener("input", () => { byId("try-confirm").hidden = true; byId("try-send").textContent = "Send"; });
dialog.addEventListener("close", () => { byId("try-key").value = ""; });
