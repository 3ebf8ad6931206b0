// A picture that is clicked opens over the page; the arrows go on to the next.
"use strict";
(() => {
  const box = document.getElementById("picture"), image = box.querySelector("img");
  const places = "#messages, .thread-log"; // where they stand
  let from = null; // the link there
  function show(link) {
    from = link;
    const small = link.querySelector("img");
    image.src = small.currentSrc || small.src; // until the whole one is there
    image.width = link.dataset.width;
    image.height = link.dataset.height;
    image.alt = box.querySelector("figcaption").textContent = link.dataset.name;
    const whole = new Image();
    whole.addEventListener("load", () => { if (from === link) image.src = whole.src; });
    whole.src = link.href;
    box.querySelector(".whole").href = link.href;
    box.querySelector(".save").href = `${link.href}?download`;
    if (!box.open) box.showModal();
  }
  function go(by) {
    const all = [...from.closest(places)?.querySelectorAll(".picture") ?? []], next = all[all.indexOf(from) + by];
    if (next) show(next);
  }
  addEventListener("click", (e) => {
    const link = e.target.closest?.(".picture");
    if (!link?.closest(places) || e.defaultPrevented || e.button || e.ctrlKey || e.metaKey || e.shiftKey || e.altKey) return;
    e.preventDefault();
    show(link);
  });
  box.addEventListener("click", (e) => { if (!e.target.closest("a")) box.close(); });
  box.addEventListener("keydown", (e) => {
    if (e.key === "ArrowLeft" || e.key === "ArrowRight") go(e.key === "ArrowLeft" ? -1 : 1);
  });
  box.addEventListener("close", () => {
    image.removeAttribute("src");
    if (from?.isConnected) from.focus({ preventScroll: true });
    from = null;
  });
})();
