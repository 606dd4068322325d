// What to show when credits or free images have run out.
const refusals = {
  // 402: {required, balance, shortfall, packsUrl}. Opens the packs over this page.
  creditsMissing: (answer) =>
    htmx.ajax("GET", `${answer.packsUrl}?next=${encodeURIComponent(location.pathname)}`, "#modal"),
  // 429: {limit, resetAt, signupUrl, signupCredits} for a guest, {detail} for too many requests.
  limitReached: (answer) => (answer.signupUrl ? location.assign(answer.signupUrl) : alert(answer.detail)),
  failed: (answer) => alert(answer.detail ?? "No image was made. Nothing was charged."),
};
