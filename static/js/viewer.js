// The viewer over a page: its address in the history, so that Back closes it; arrow keys, swipes, before and after.
{
  const viewer = () => document.getElementById("viewer");
  const turn = (direction) => document.getElementById(`viewer-${direction}`)?.click();

  document.addEventListener("htmx:afterSwap", () => {
    const shown = viewer();
    const url = shown?.dataset.url;
    if (!url || url === location.pathname + location.search) return;
    const opens = shown.closest("dialog") && !history.state?.viewer;
    if (opens) history.pushState({ viewer: true }, "", url);
    else history.replaceState(history.state, "", url);
  });

  // Before htmx, which would load the page behind again.
  addEventListener("popstate", (event) => {
    const open = document.querySelector(".viewer-dialog[open]");
    if (event.state?.viewer && !open) {
      event.stopImmediatePropagation();
      htmx.ajax("GET", location.pathname + location.search, { target: "#modal", swap: "innerHTML" });
    } else if (open && !event.state?.viewer) {
      event.stopImmediatePropagation();
      open.close();
    }
  });

  document.addEventListener("close", (event) => {
    if (!event.target.matches(".viewer-dialog")) return;
    event.target.remove();
    if (history.state?.viewer) history.back();
  }, true);

  document.addEventListener("keydown", (event) => {
    const busy = event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || event.defaultPrevented;
    if (busy || !viewer() || viewer().querySelector("dialog[open]")) return;
    if (event.target.matches("input, textarea, select, video, audio")) return;
    if (event.key === "ArrowLeft") turn("previous");
    if (event.key === "ArrowRight") turn("next");
  });

  let start = null;
  document.addEventListener("touchstart", (event) => {
    const on = event.target.closest(".viewer-stage") && !event.target.matches("input, video, audio");
    start = on && event.touches.length === 1 && visualViewport.scale === 1 ? event.touches[0] : null;
  }, { passive: true });
  document.addEventListener("touchend", (event) => {
    if (!start) return;
    const across = event.changedTouches[0].clientX - start.clientX;
    const down = Math.abs(event.changedTouches[0].clientY - start.clientY);
    start = null;
    if (Math.abs(across) > 50 && Math.abs(across) > 2 * down) turn(across < 0 ? "next" : "previous");
  }, { passive: true });

  document.addEventListener("input", (event) => {
    if (event.target.matches("[data-compare]")) event.target.parentElement.style.setProperty("--compare-at", `${event.target.value}%`);
  });
}
