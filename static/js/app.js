// What HTML cannot do yet: open a dialog that has just arrived, run a countdown, show a password, copy a text.
// Every page works without this file.
const root = document.documentElement;
root.classList.add("scripts");

document.addEventListener("htmx:afterSwap", ({ detail }) => {
  if (detail.target.id === "modal") detail.target.querySelector("dialog")?.showModal();
  // The refusal of what a person did may be above what they see.
  if (detail.target.id === "problem" && detail.requestConfig.verb !== "get") detail.target.scrollIntoView({ block: "nearest" });
});

// A refusal goes when what was refused succeeds, or the next thing that a person does; a poll beside it leaves it.
let refused = null;
document.addEventListener("htmx:beforeSwap", ({ detail: { xhr, requestConfig: { elt, path, verb } } }) => {
  if (xhr.status >= 400) refused = path;
  else if (path === refused || (verb !== "get" && elt.matches("form, button"))) document.getElementById("problem")?.replaceChildren();
});

document.addEventListener("click", (event) => {
  const at = event.target.closest("button, dialog, .menu, [data-copy]");
  // Older browsers know no command="show-modal".
  if (at?.matches("[commandfor]") && !("command" in at)) document.getElementById(at.getAttribute("commandfor"))?.showModal();
  // A click on the veil closes, as closedby="any" does.
  if (event.target.matches?.("dialog:modal") && !("closedBy" in event.target)) event.target.close();
  if (at?.matches("[data-close]")) at.parentElement.remove();
  if (at?.matches("[data-show]")) show(at, at.getAttribute("aria-pressed") === "false");
  if (at?.matches("[data-copy]")) copy(at);
  if (!at?.matches(".menu") && !at?.closest(".menu")) document.querySelector(".menu[open]")?.removeAttribute("open");
});

// What the pointer holds down: were it replaced before the pointer is up, the click would be lost.
let held = null;
addEventListener("pointerdown", ({ target }) => { held = target; }, true);
for (const type of ["pointerup", "pointercancel"]) addEventListener(type, () => setTimeout(() => { held = null; }), true);

// A poll comes again, so its answer can be dropped.
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  if (detail.requestConfig?.elt.matches("[hx-trigger^=every]") && detail.target.contains(held)) detail.shouldSwap = false;
});

document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && document.querySelector(".menu[open]");
  if (!menu) return;
  menu.removeAttribute("open");
  menu.querySelector("summary").focus();
});

// The button says that it was done, for a moment; without the clipboard it does nothing and says nothing.
const copy = async (button) => {
  await navigator.clipboard?.writeText(document.getElementById(button.dataset.copy).textContent);
  const text = button.querySelector(".button-text");
  if (!navigator.clipboard || !text || text.dataset.before) return;
  text.setAttribute("aria-live", "polite");
  text.dataset.before = text.textContent;
  text.textContent = "Copied";
  setTimeout(() => {
    text.textContent = text.dataset.before;
    delete text.dataset.before;
  }, 2000);
};

const show = (button, shown) => {
  document.getElementById(button.dataset.show).type = shown ? "text" : "password";
  button.setAttribute("aria-pressed", shown);
  button.firstChild.data = shown ? "Hide" : "Show";
};

// Whoever sits here next must not find what was typed, nor the browser store a password as a text.
document.addEventListener("submit", (event) => {
  for (const button of event.target.querySelectorAll("[data-show]")) show(button, false);
  if (event.target.matches('[action="/auth/logout"]')) sessionStorage.clear();
});

// The same words as the server's: seconds only in the last minute.
const span = (seconds) => {
  if (seconds < 1) return "now";
  if (seconds < 60) return `in ${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  return `in ${[minutes > 59 && `${Math.floor(minutes / 60)} h`, minutes % 60 && `${minutes % 60} min`].filter(Boolean).join(" ")}`;
};
setInterval(() => {
  for (const time of document.querySelectorAll("[data-until] time")) {
    const text = span(Math.floor((new Date(time.dateTime) - Date.now()) / 1000));
    if (time.textContent !== text) time.textContent = text;
  }
}, 1000);
