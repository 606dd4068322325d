// The wall of the studio: progress between two answers, the tab's title when something is ready, focus.
{
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const drawn = new WeakMap();
  const highest = new Map();

  // Between two answers the percentage nears that of the next file, as fast as the model usually is, and never passes it.
  const percent = (card, seconds) => {
    const told = Number(card.dataset.percent);
    const last = highest.get(card.id) ?? { told, shown: told, at: seconds };
    const at = told > last.told ? seconds : last.at;
    const typical = Number(card.dataset.typical) / Number(card.dataset.files) || 10;
    const share = still.matches ? 0 : 1 - Math.exp((at - seconds) / typical);
    const shown = Math.max(last.shown, told + (95 / Number(card.dataset.files)) * share);
    highest.set(card.id, { told: Math.max(told, last.told), shown: Math.min(99, shown), at });
    return Math.min(99, Math.floor(shown));
  };

  const draw = () => {
    for (const card of document.querySelectorAll("[data-job]")) {
      if (!drawn.has(card)) drawn.set(card, performance.now());
      const seconds = Number(card.dataset.elapsed) + (performance.now() - drawn.get(card)) / 1000;
      card.querySelector("[data-shown-elapsed]").textContent = `${Math.floor(seconds)} s`;
      const bar = card.querySelector("progress");
      if (!bar) continue;
      const value = percent(card, seconds);
      bar.value = value;
      card.querySelector("[data-shown-percent]").textContent = value;
      card.querySelector("[data-shown-arc]")?.setAttribute("stroke-dasharray", `${value} 100`);
    }
  };
  draw();
  setInterval(draw, 200);
  document.addEventListener("htmx:afterSettle", draw);

  // The title says so in the row of tabs, until one looks.
  const title = document.title;
  let ended = 0;
  document.addEventListener("job-ended", (event) => {
    highest.delete(`job-${event.detail.id}`);
    if (document.visibilityState === "visible" && document.hasFocus()) return;
    ended += 1;
    const word = { succeeded: "Ready", failed: "Not made", canceled: "Canceled" }[event.detail.state];
    document.title = `(${ended}) ${word} · ${title}`;
  });
  const seen = () => {
    ended = 0;
    document.title = title;
  };
  addEventListener("focus", seen);
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && document.hasFocus() && seen());

  // What had the focus may be gone from the card's next state: its first action takes it.
  let left = "";
  document.addEventListener("htmx:beforeSwap", (event) => {
    const polled = event.detail.requestConfig?.elt;
    if (event.detail.xhr.status === 404 && polled?.matches?.("[data-job]")) {
      // It was deleted in another window.
      event.detail.shouldSwap = false;
      polled.remove();
      return;
    }
    const card = event.detail.target?.closest?.(".job-card");
    if (card?.contains(document.activeElement)) left = card.id;
  });
  document.addEventListener("htmx:afterSettle", () => {
    if (!left) return;
    if (document.activeElement === document.body) document.getElementById(left)?.querySelector(".acts :is(a, button)")?.focus({ preventScroll: true });
    left = "";
  });

  // A card whose last image was deleted has nothing to show.
  document.addEventListener("images-deleted", () => {
    for (const card of document.querySelectorAll(".wall .job-card-succeeded")) {
      if (!card.querySelector("figure")) (card.closest(".job-batch:not(:has(figure, [data-job]))") ?? card).remove();
    }
  });
}
