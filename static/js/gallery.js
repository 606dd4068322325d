// Selecting images in the gallery, and arrow keys from one to the next.
{
  const boxes = () => [...document.querySelectorAll(".image-card-select input")];
  let last = null;

  const count = () => {
    const selected = boxes().filter((box) => box.checked).length;
    for (const place of document.querySelectorAll("[data-selected]")) place.textContent = selected;
  };

  document.addEventListener("click", (event) => {
    const box = event.target.closest(".image-card-select input");
    if (box) {
      const all = boxes();
      if (event.shiftKey && last?.isConnected) {
        const [from, to] = [all.indexOf(last), all.indexOf(box)].sort((one, other) => one - other);
        for (const each of all.slice(from, to + 1)) each.checked = box.checked;
      }
      last = box;
    }
    if (event.target.closest("[data-select-all]")) for (const each of boxes()) each.checked = true;
    if (event.target.closest("[data-select-none]")) for (const each of boxes()) each.checked = false;
    count();
  });
  document.addEventListener("htmx:afterSettle", count);
  document.addEventListener("images-deleted", () => setTimeout(count));

  document.addEventListener("keydown", (event) => {
    const frame = event.target.closest(".image-grid .image-card-frame");
    const busy = event.altKey || event.ctrlKey || event.metaKey || event.shiftKey;
    if (!frame || busy || !event.key.startsWith("Arrow")) return;
    const frames = [...document.querySelectorAll(".image-grid .image-card-frame")];
    const at = frames.indexOf(frame);
    const columns = frames.filter((each) => each.getBoundingClientRect().top === frames[0].getBoundingClientRect().top).length;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    const next = frames[at + step];
    if (!next) return;
    event.preventDefault();
    next.focus();
    next.scrollIntoView({ block: "nearest" });
  });
}
