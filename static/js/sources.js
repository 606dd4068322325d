// Files of the studio's forms: uploaded at once when chosen, dropped or pasted; moved among the chosen ones when picked.
// Each is a radio button or a checkbox in components/source_tile.html, so a form sends them without this file.
const part = (picker, name) => picker.querySelector(`[data-sources-${name}]`);
const count = (picker) => part(picker, "chosen").children.length;
const isSingle = (picker) => picker.dataset.most === "1";
const say = (text) => { document.getElementById("live").textContent = text; };

function complain(picker, text = "") {
  const place = part(picker, "error");
  place.querySelector("span").textContent = text;
  place.hidden = !text;
}

// The price and the models that fit may depend on the files.
const announce = (picker) => picker.dispatchEvent(new Event("change", { bubbles: true }));

function putBack(tile, picker) {
  tile.querySelector("input").checked = false;
  part(picker, "recent").prepend(tile);
  part(picker, "recent").parentElement.hidden = false;
}

function choose(tile, picker) {
  if (isSingle(picker)) for (const other of [...part(picker, "chosen").children]) putBack(other, picker);
  const own = part(picker, "recent");
  part(picker, "chosen").append(tile);
  tile.querySelector("input").checked = true;
  if (!own.querySelector("[data-source]")) own.parentElement.hidden = true;
}

function pick(input, picker) {
  const tile = input.closest("[data-source]");
  complain(picker);
  if (!isSingle(picker) && count(picker) >= Number(picker.dataset.most)) {
    input.checked = false;
    complain(picker, `At most ${picker.dataset.most} fit. Remove one first.`);
    return false;
  }
  const next = tile.nextElementSibling ?? tile.previousElementSibling;
  choose(tile, picker);
  (isSingle(picker) ? tile.querySelector("button") : next?.querySelector("input") ?? tile.querySelector("button")).focus();
  say(`Added: ${tile.querySelector(".source-tile-text").textContent.trim()}`);
  return true;
}

function remove(at) {
  const picker = at.closest("[data-sources]");
  const tile = at.closest("[data-source]");
  const next = tile.nextElementSibling ?? tile.previousElementSibling;
  complain(picker);
  putBack(tile, picker);
  (next?.querySelector("button") ?? picker.querySelector("[type=file]") ?? tile.querySelector("input")).focus();
  say("Removed.");
  announce(picker);
}

function tileOf(markup) {
  const holder = document.createElement("template");
  holder.innerHTML = markup;
  return holder.content.firstElementChild;
}

function send(picker, file, onProgress) {
  const fields = new FormData();
  fields.append("csrf_token", picker.closest("form").elements.csrf_token.value);
  fields.append("add_to", picker.dataset.sources);
  fields.append("kinds", picker.dataset.kinds);
  fields.append("single", isSingle(picker) ? "1" : "");
  fields.append("file", file);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/uploads");
    request.setRequestHeader("HX-Request", "true");
    request.setRequestHeader("Accept", "application/problem+json, text/html;q=0.9");
    request.upload.addEventListener("progress", onProgress);
    request.addEventListener("error", () => reject(new Error("The upload did not arrive. Check your connection and try again.")));
    request.addEventListener("load", () => {
      if (request.status < 300) return resolve(request.responseText);
      let detail = "";
      try { detail = JSON.parse(request.responseText).detail; } catch { /* a proxy's own page */ }
      reject(new Error(detail || "The upload was refused. Try again in a moment."));
    });
    request.send(fields);
  });
}

async function upload(picker, file) {
  const largest = Number(picker.dataset.bytesMax);
  if (file.size > largest) {
    throw new Error(`${file.name} has ${Math.ceil(file.size / 2 ** 20)} MB; at most ${largest / 2 ** 20} MB fit.`);
  }
  const waiting = part(picker, "waiting").content.firstElementChild.cloneNode(true);
  const bar = waiting.querySelector("progress");
  waiting.querySelector(".source-tile-text").textContent = file.name;
  part(picker, "chosen").append(waiting);
  try {
    const markup = await send(picker, file, (event) => {
      // Sent whole, it is still read and checked: a bar without a value says so.
      if (event.loaded < event.total) bar.value = event.loaded / event.total;
      else bar.removeAttribute("value");
    });
    const tile = tileOf(markup);
    // The form may have been replaced meanwhile, as a mask's picker is when the price changes.
    const current = document.getElementById(picker.id) ?? picker;
    waiting.remove();
    choose(tile, current);
    say(`Added: ${file.name}`);
    announce(current);
  } finally {
    waiting.remove();
  }
}

async function uploadAll(picker, files) {
  complain(picker);
  const room = isSingle(picker) ? 1 : Number(picker.dataset.most) - count(picker);
  const problems = files.length > room ? [`At most ${picker.dataset.most} fit.`] : [];
  picker.setAttribute("aria-busy", "true");
  for (const file of [...files].slice(0, Math.max(0, room))) {
    try { await upload(picker, file); } catch (error) { problems.push(error.message); }
  }
  picker.removeAttribute("aria-busy");
  complain(picker, problems.join(" "));
}

// An image of the page that is dragged here is chosen as it is.
async function pickOwn(picker, id) {
  complain(picker);
  let tile = picker.querySelector(`[data-source="${id}"]`);
  if (tile?.closest("[data-sources-chosen]")) return;
  if (!isSingle(picker) && count(picker) >= Number(picker.dataset.most)) return complain(picker, `At most ${picker.dataset.most} fit.`);
  if (!tile) {
    const { sources, kinds } = picker.dataset;
    const query = new URLSearchParams({ add_to: sources, kinds, single: isSingle(picker) ? "1" : "" });
    const response = await fetch(`/sources/${id}?${query}`, { headers: { Accept: "application/problem+json, text/html;q=0.9" } });
    if (!response.ok) return complain(picker, (await response.json().catch(() => ({}))).detail ?? "This file cannot be used here.");
    tile = tileOf(await response.text());
  }
  choose(tile, picker);
  say(`Added: ${tile.querySelector(".source-tile-text").textContent.trim()}`);
  announce(picker);
}

// The picker at hand, or the first that takes such a file.
function pickerFor(target, [first]) {
  const kind = first?.type.split("/")[0];
  const all = [...document.querySelectorAll("[data-sources]:has([type=file])")];
  return target?.closest?.("[data-sources]:has([type=file])") ?? all.find((each) => each.dataset.kinds.includes(kind)) ?? all[0];
}

document.addEventListener("change", (event) => {
  const picker = event.target.closest?.("[data-sources]");
  if (!picker || event.target === picker) return;
  if (event.target.type !== "file" && !event.target.closest("[data-source]")) return;
  if (event.target.type === "file") {
    // The file itself is no field of the order.
    event.stopPropagation();
    const files = [...event.target.files];
    event.target.value = "";
    if (files.length) uploadAll(picker, files);
  } else if (!event.target.checked) {
    event.stopPropagation();
    remove(event.target);
  } else if (event.target.closest("[data-sources-recent] [data-source]") && !pick(event.target, picker)) {
    event.stopPropagation();
  }
}, true);

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-source-remove]");
  if (button) remove(button);
  const brush = event.target.closest("[data-mask-of]");
  if (brush) import(brush.dataset.script).then(({ open }) => open(brush));
});

// Of mask.js.
document.addEventListener("source-file", (event) => uploadAll(event.target, [event.detail]));
document.addEventListener("source-error", (event) => complain(event.target, event.detail));

document.addEventListener("paste", (event) => {
  const files = event.clipboardData?.files ?? [];
  const picker = files.length && pickerFor(event.target, files);
  if (!picker) return;
  event.preventDefault();
  uploadAll(picker, files);
});

for (const type of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(type, (event) => {
    const transfer = event.dataTransfer;
    const isOwn = transfer?.types.includes("text/uri-list");
    if (!isOwn && !transfer?.types.includes("Files")) return;
    const picker = isOwn ? event.target.closest("[data-sources]:has([type=file])") : pickerFor(event.target, transfer.items);
    if (!picker) return;
    // Beside the picker too: the browser would leave the page to show the file.
    event.preventDefault();
    picker.classList.toggle("source-picker-over", type === "dragover");
    if (type !== "drop") return;
    const [id] = /(?:ast|upl)_[0-9a-z]{26}/.exec(transfer.getData("text/uri-list")) ?? [];
    if (id) pickOwn(picker, id);
    else if (transfer.files.length) uploadAll(picker, transfer.files);
  });
}
