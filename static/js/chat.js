// The chat: Enter sends, Shift and Enter begins a line; the newest words stay in sight unless one reads further up.
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

  document.addEventListener("htmx:beforeSwap", () => { follows = near(); });
  document.addEventListener("htmx:afterSettle", ({ detail }) => {
    if (follows || detail.requestConfig?.path === "/chat/messages") down();
    if (detail.requestConfig?.path === "/chat/messages" && detail.xhr.status < 300) document.getElementById("field-text")?.focus();
  });
  if (document.querySelector(".chat-message")) down();
}
