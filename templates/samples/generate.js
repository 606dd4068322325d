// Makes images and calls one function of `on`: made, creditsMissing, limitReached or failed.
async function generate(order, on) {
  const response = await fetch("/api/generate-image", {
    method: "POST",
    headers: { "Content-Type": "application/json", "Idempotency-Key": crypto.randomUUID() },
    body: JSON.stringify(order),
  });
  let answer = await response.json();
  if (response.status === 402) return on.creditsMissing(answer);
  if (response.status === 429) return on.limitReached(answer);
  if (!response.ok) return on.failed(answer);
  while (answer.status === "queued" || answer.status === "running") {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    answer = await (await fetch(`/api/generations/${answer.id}`)).json();
  }
  return answer.status === "succeeded" ? on.made(answer) : on.failed(answer);
}
