// A member's balance, or the free images that a guest has left.
async function readBalance() {
  const answer = await (await fetch("/api/credits")).json();
  return answer.credits ? { credits: answer.credits.balance } : { freeImages: answer.guestInfo.remaining };
}
