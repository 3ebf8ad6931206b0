// The search page: times and days are the reader's.
"use strict";
(() => {
  const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
  for (const time of document.querySelectorAll(".hits time")) {
    const at = new Date(time.dateTime);
    time.textContent = clock.format(at);
    time.title = exact.format(at);
  }
})();
