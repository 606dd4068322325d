// A field's error in its place, in the site's words, instead of the browser's bubble over it.
// The markup is that of components/field.html; the server writes the same after a refused form.
const MESSAGES = [
  ["valueMissing", () => "Fill in this field."],
  ["typeMismatch", (field) => `Enter an address such as ${field.type === "url" ? "https://example.com/path" : "you@example.com"}.`],
  ["tooShort", (field) => `Enter at least ${field.minLength} characters.`],
  ["tooLong", (field) => `Enter at most ${field.maxLength} characters.`],
  ["rangeUnderflow", (field) => `Enter ${field.min} or more.`],
  ["rangeOverflow", (field) => `Enter ${field.max} or less.`],
  ["badInput", () => "Enter a number."],
  ["stepMismatch", () => "Enter a whole number."],
  ["patternMismatch", (field) => field.title || "This is not valid here."],
];

function showError(field) {
  const place = field.closest(".field");
  const id = `${field.id}-error`;
  let error = document.getElementById(id);
  if (!error) {
    error = document.getElementById("field-error").content.firstElementChild.cloneNode(true);
    error.id = id;
    (field.closest(".field-secret") ?? field).before(error);
    field.setAttribute("aria-describedby", `${id} ${field.getAttribute("aria-describedby") ?? ""}`.trim());
  }
  const [, message] = MESSAGES.find(([name]) => field.validity[name]) ?? [null, () => field.validationMessage];
  error.querySelector("span").textContent = message(field);
  field.setAttribute("aria-invalid", "true");
  place.classList.add("field-wrong");
}

document.addEventListener("invalid", (event) => {
  const field = event.target;
  if (!field.id || !field.closest(".field")) return;
  event.preventDefault();
  showError(field);
  if (field !== field.form?.querySelector(".field :invalid")) return;
  field.focus();
  // With its label, below the header that stays.
  field.closest(".field").scrollIntoView({ block: "nearest" });
}, true);

document.addEventListener("input", ({ target }) => {
  if (target.getAttribute?.("aria-invalid") !== "true" || !target.closest(".field")) return;
  target.removeAttribute("aria-invalid");
  target.closest(".field").classList.remove("field-wrong");
  document.getElementById(`${target.id}-error`)?.remove();
});
