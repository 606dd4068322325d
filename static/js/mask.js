// Paints a mask over the first chosen image. Painted parts become transparent in a PNG, which sources.js uploads. Loaded when it is first needed.
export const open = (button) => {
  const picker = button.closest("[data-sources]");
  const chosen = document.querySelector(`#field-${button.dataset.maskOf} [data-sources-chosen] [data-source]`);
  if (!chosen) return complain(picker, "Choose an image first.");
  complain(picker, "");
  // Beside the form, which may be replaced while somebody paints.
  const dialog = button.nextElementSibling.content.firstElementChild.cloneNode(true);
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  const image = dialog.querySelector("img");
  image.addEventListener("load", () => {
    dialog.showModal();
    paintOn(dialog, image, (file) => {
      const place = document.getElementById(picker.id) ?? picker;
      place.dispatchEvent(new CustomEvent("source-file", { bubbles: true, detail: file }));
    });
  });
  image.addEventListener("error", () => {
    dialog.remove();
    complain(picker, "This image can no longer be opened.");
  });
  image.src = chosen.dataset.url;
};

const complain = (picker, text) => picker.dispatchEvent(new CustomEvent("source-error", { bubbles: true, detail: text }));

// A stroke has its points and its width as shares of the image's width, so that it fits every size.
const draw = (context, { points, size, erases }, [painting, erasing]) => {
  const { width } = context.canvas;
  context.globalCompositeOperation = erases ? erasing : painting;
  context.lineWidth = size * width;
  context.lineCap = context.lineJoin = "round";
  context.beginPath();
  context.moveTo(points[0][0] * width, points[0][1] * width);
  for (const [x, y] of points) context.lineTo(x * width, y * width);
  context.stroke();
};

function paintOn(dialog, image, done) {
  const canvas = dialog.querySelector("canvas");
  const part = (name) => dialog.querySelector(`[data-mask-${name}]`);
  const context = canvas.getContext("2d");
  const strokes = [];
  const at = [0.5, (0.5 * image.naturalHeight) / image.naturalWidth];
  canvas.width = Math.min(image.naturalWidth, 1024);
  canvas.height = Math.round((canvas.width * image.naturalHeight) / image.naturalWidth);
  context.strokeStyle = getComputedStyle(canvas).color;

  const redraw = () => {
    context.clearRect(0, 0, canvas.width, canvas.height);
    for (const stroke of strokes) draw(context, stroke, ["source-over", "destination-out"]);
    part("undo").disabled = part("done").disabled = strokes.length === 0;
  };
  const begin = (point) => {
    strokes.push({ points: [point], size: Number(part("size").value) / 100, erases: part("erase").checked });
    redraw();
  };
  const pointOf = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.width];
  };

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    begin(pointOf(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!canvas.hasPointerCapture(event.pointerId)) return;
    strokes.at(-1).points.push(pointOf(event));
    redraw();
  });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step && event.key !== " ") return;
    event.preventDefault();
    if (!step) return begin([...at]);
    const most = [1, image.naturalHeight / image.naturalWidth];
    for (const axis of [0, 1]) at[axis] = Math.min(most[axis], Math.max(0, at[axis] + step[axis] * 0.04));
    redraw();
    context.globalCompositeOperation = "source-over";
    context.strokeRect(at[0] * canvas.width - 6, at[1] * canvas.width - 6, 12, 12);
  });
  part("undo").addEventListener("click", () => { strokes.pop(); redraw(); });
  part("cancel").addEventListener("click", () => dialog.close());
  part("done").addEventListener("click", () => {
    const mask = document.createElement("canvas");
    mask.width = image.naturalWidth;
    mask.height = image.naturalHeight;
    const whole = mask.getContext("2d");
    whole.fillRect(0, 0, mask.width, mask.height);
    for (const stroke of strokes) draw(whole, stroke, ["destination-out", "source-over"]);
    mask.toBlob((blob) => {
      dialog.close();
      done(new File([blob], "mask.png", { type: "image/png" }));
    }, "image/png");
  });
}
