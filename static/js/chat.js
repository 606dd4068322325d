// The chat: Enter sends, Shift and Enter begins a line; the newest words stay in sight unless one reads further up.
// Images that are pasted or dropped open their place, and a message waits for those still being sent.
// The page works without this file.
{
  const near = () => document.documentElement.scrollHeight - innerHeight - scrollY < 160;
  const down = () => scrollTo({ top: document.documentElement.scrollHeight });
  let follows = true;

  document.addEventListener("keydown", (event) => {
    const field = event.target;
    if (!field.matches?.("#field-text") || event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (field.value.trim()) field.form.requestSubmit(document.getElementById("send"));
  });

  const images = () => document.querySelector(".chat-form-images");
  for (const type of ["paste", "drop"]) {
    document.addEventListener(type, ({ clipboardData, dataTransfer }) => {
      const brought = clipboardData ?? dataTransfer;
      if (images() && (brought?.files.length || brought?.types.includes("text/uri-list"))) images().open = true;
    });
  }
  document.addEventListener("submit", (event) => {
    if (!event.target.querySelector("[data-sources][aria-busy=true]")) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    document.getElementById("live").textContent = "An image is still being sent. Send the message after it.";
  }, true);

  document.addEventListener("htmx:beforeSwap", () => { follows = near(); });
  document.addEventListener("htmx:afterSettle", ({ detail }) => {
    if (follows || detail.requestConfig?.path === "/chat/messages") down();
    if (detail.requestConfig?.path === "/chat/messages" && detail.xhr.status < 300) document.getElementById("field-text")?.focus();
  });
  if (document.querySelector(".chat-message")) down();
}
