// The studio's form: keep and count the prompt, submit it by keyboard, close the list of models, put errors at their fields.
// The page works without this file.
const studioForm = () => document.getElementById("studio-form");
const promptField = () => document.getElementById("field-prompt");
const isMac = /Mac|iPhone|iPad/.test(navigator.platform);

// The prompt survives a visit to another page of this tab, and is counted.
function notePrompt() {
  const field = promptField();
  if (!field) return;
  sessionStorage.setItem(`kept:${field.dataset.keep}`, field.value);
  const count = document.querySelector(`[data-count-for="${field.id}"]`);
  if (count && field.value) count.textContent = `${field.value.length.toLocaleString("en")} of ${field.maxLength.toLocaleString("en")}`;
}

function prepareForm() {
  const field = promptField();
  if (field && !field.value) field.value = sessionStorage.getItem(`kept:${field.dataset.keep}`) ?? "";
  notePrompt();
  for (const key of document.querySelectorAll("[data-command-key]")) key.textContent = isMac ? "⌘" : "Ctrl";
}

function fillPrompt(text) {
  const field = promptField();
  field.value = text;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  field.focus();
  field.scrollIntoView({ block: "nearest" });
}

function closeMenu(menu, focus) {
  menu.removeAttribute("open");
  if (focus) menu.querySelector("summary").focus();
}

document.addEventListener("input", ({ target }) => {
  if (target === promptField()) notePrompt();
  if (studioForm()?.contains(target)) clearHeader();
});

// A message that lies over the header, as on a phone, goes when one begins to work; elsewhere it stays until closed.
function clearHeader() {
  for (const toast of document.querySelectorAll(".studio .toasts > .toast")) {
    if (getComputedStyle(toast).position === "absolute") toast.remove();
  }
}

document.addEventListener("keydown", (event) => {
  const menu = document.querySelector("[data-menu][open]");
  if (event.key === "Escape" && menu) closeMenu(menu, true);
  if (event.key === "Enter" && menu?.contains(event.target) && event.target.matches("input")) {
    event.preventDefault();
    closeMenu(menu, true);
  }
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && studioForm()?.contains(event.target)) {
    event.preventDefault();
    const button = document.getElementById("generate");
    if (button) studioForm().requestSubmit(button);
  }
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const tabs = step && event.target.closest?.("[data-arrows]")?.querySelectorAll("a");
  if (tabs) {
    event.preventDefault();
    tabs[([...tabs].indexOf(event.target) + step + tabs.length) % tabs.length].focus();
  }
});

document.addEventListener("click", (event) => {
  const menu = document.querySelector("[data-menu][open]");
  if (menu && document.contains(event.target) && !menu.contains(event.target)) closeMenu(menu, false);
  // A pointer chooses one model at once; the arrow keys try them out, and several stay open.
  if (menu && event.detail > 0 && event.target.closest("label[for^=model-]")) closeMenu(menu, true);
  const link = event.target.closest("a[data-fill], a[href^='/?operation=']:not([hx-post])");
  if (!link || !studioForm() || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  if (link.dataset.fill && promptField()) fillPrompt(link.dataset.fill);
  else fillForm(new URL(link.href).searchParams);
});

// "Use again" fills the form in place, with the prompt, the settings and the files of what was made.
async function fillForm(query) {
  const values = { csrf_token: studioForm().elements.csrf_token.value };
  for (const name of query.keys()) values[name] = query.getAll(name);
  await htmx.ajax("POST", "/studio", { values, target: "#studio-form", swap: "outerHTML" });
  document.querySelector("dialog:modal")?.close();
  const field = promptField() ?? document.getElementById("generate");
  field?.focus();
  field?.scrollIntoView({ block: "nearest" });
  field?.classList.add("refilled");
}

document.addEventListener("toggle", ({ target }) => {
  if (!target.matches?.("[data-menu][open]")) return;
  target.querySelector("fieldset").scrollIntoView({ block: "nearest" });
  target.querySelector("input:checked")?.focus();
}, true);

// An answer to choices that have changed since would undo them; the request that follows knows them.
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  if (detail.pathInfo?.requestPath !== "/studio/price") return;
  const now = new FormData(studioForm());
  const sent = detail.requestConfig.formData;
  const names = [...now.keys()].filter((name) => !["nonce", "shown_micro", "prompt", "csrf_token"].includes(name));
  if (names.some((name) => now.getAll(name).join() !== sent.getAll(name).join())) detail.shouldSwap = false;
  if (!studioForm().contains(held)) return;
  detail.shouldSwap = false;
  addEventListener("pointerup", () => setTimeout(() => htmx.trigger("#settings", "change")), { once: true, capture: true });
});

document.addEventListener("htmx:afterSettle", ({ detail }) => {
  prepareForm();
  // Where the button that was pressed has gone, such as for lack of credits, the focus goes to what replaced it.
  if (["/generations", "/studio"].includes(detail.requestConfig?.path) && document.activeElement === document.body) {
    document.querySelector("#price-panel .button-main")?.focus();
  }
});

// A refusal names fields: each error goes to its field, as after a page without scripts.
document.addEventListener("htmx:afterSwap", ({ detail }) => {
  if (detail.target.id !== "problem" || !studioForm()?.contains(detail.target)) return;
  let first = null;
  for (const link of detail.target.querySelectorAll(".problem-fields a")) {
    const field = document.getElementById(link.hash.slice(1));
    if (!field?.matches("input, textarea") || !field.closest(".field")) continue;
    field.setCustomValidity(link.textContent);
    showError(field);
    field.setCustomValidity("");
    link.closest("li").remove();
    first ??= field;
  }
  if (first && !detail.target.querySelector(".problem-fields li")) detail.target.replaceChildren();
  first?.focus();
});

prepareForm();
