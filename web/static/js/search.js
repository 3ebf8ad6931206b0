// The search page: times and days are the reader's, and where little was found in the moment that the server takes, the page asks on
// by itself, further back each time.
"use strict";
(() => {
  const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
  const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
  function localise(root) {
    for (const time of root.querySelectorAll(".hits time")) {
      const at = new Date(time.dateTime);
      time.textContent = clock.format(at);
      time.title = exact.format(at);
    }
  }
  localise(document);

  const enough = 20, most = 20; // hits, pages that are asked for
  async function onward() {
    const body = document.querySelector(".search"), said = document.createElement("p");
    said.className = "further";
    said.setAttribute("role", "status");
    for (let asked = 0; asked < most; asked++) {
      const next = body.querySelector(".next"), hits = body.querySelector(".hits");
      if (!next || hits?.children.length >= enough) break;
      const link = next.querySelector("a"), since = new Date(parseInt(new URL(link.href).searchParams.get("at")) / 1000); // of microseconds
      said.textContent = `Looking further back than ${day.format(since)}…`;
      next.before(said);
      let got;
      try { got = live.parse(await live.ask(link.href)).querySelector(".search"); } catch { break; } // the link is still there
      localise(got);
      const more = got.querySelector(".hits"), end = got.querySelector(".empty");
      if (more && hits) hits.append(...more.children);
      else if (more) body.querySelector(".empty").replaceWith(...[got.querySelector(".order"), more].filter(Boolean));
      else if (!hits && end) body.querySelector(".empty").replaceWith(end);
      next.replaceWith(...[got.querySelector(".next")].filter(Boolean));
      if (more) body.querySelector(".how")?.remove();
    }
    const found = body.querySelectorAll(".hits li").length;
    said.textContent = !found ? "" : found === 1 ? "1 message found." : `${found} messages found.`;
  }
  if (document.querySelector(".next")) onward();
})();
