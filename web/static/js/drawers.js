// The drawers of narrow screens, rooms and people, open and close by links (:target). This adds what links cannot do:
// Escape closes, what lies behind takes neither focus nor taps, and the focus goes in and back.
"use strict";
(() => {
  const panels = document.querySelectorAll(".sidebar, .people");
  let opener = null, open = null;
  const isDrawer = (panel) => getComputedStyle(panel).position === "fixed"; // on wide screens it is a column
  const opened = () => [...panels].find((panel) => panel.matches(":target") && isDrawer(panel)) ?? null;
  function settle() {
    const now = opened();
    for (const e of document.body.children) e.inert = now !== null && e !== now && e !== now.nextElementSibling;
    // Asked of the document, not remembered: a screen that was wide for a moment took the focus without an event.
    if (now && !now.contains(document.activeElement)) now.querySelector(".close").focus();
    else if (!now && open) opener?.focus();
    open = now;
  }
  addEventListener("click", (e) => {
    const link = e.target.closest?.("a.menu, a.people-button");
    if (link) opener = link;
  });
  addEventListener("hashchange", settle);
  addEventListener("resize", settle);
  addEventListener("keydown", (e) => { if (e.key === "Escape" && opened()) location.hash = ""; });
  settle();
})();
