// Images on any page: what was deleted disappears, and the offer to undo it ends with its time.
{
  document.addEventListener("images-deleted", (event) => {
    for (const asked of document.querySelectorAll(".confirm[open]")) asked.close();
    for (const id of event.detail.images) {
      for (const image of document.querySelectorAll(`[data-asset="${id}"]`)) {
        const over = image.closest("dialog");
        if (over) over.close();
        else (image.closest("li") ?? image).remove();
      }
    }
  });

  document.addEventListener("images-starred", (event) => {
    for (const id of event.detail.images) {
      for (const form of document.querySelectorAll(`#tile-star-${id}, #viewer-star-${id}, #choice-star-${id}`)) {
        const button = form.querySelector("button");
        form.elements.starred.value = event.detail.starred ? "0" : "1";
        button.setAttribute("aria-pressed", event.detail.starred);
        button.title = event.detail.starred ? "Remove from favourites" : "Add to favourites";
      }
    }
  });

  const endOffers = () => {
    for (const offer of document.querySelectorAll("[data-for-seconds]:not([data-running])")) {
      offer.dataset.running = "";
      setTimeout(() => (offer.closest("#toasts .toast") ?? offer).remove(), offer.dataset.forSeconds * 1000);
    }
  };
  document.addEventListener("htmx:oobAfterSwap", endOffers);
  endOffers();
}
