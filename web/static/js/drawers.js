// The drawers of narrow screens, rooms, people and the thread, open and close by links (:target). This adds what links cannot do:
// Escape closes, what lies behind takes neither focus nor taps, and the focus goes in and back.
"use strict";
(() => {
  const parts = () => [...document.body.children].flatMap((e) => e.id === "view" ? [...e.children] : [e]);
  let opener = null, open = null;
  const isDrawer = (panel) => getComputedStyle(panel).position === "fixed"; // on wide screens it is a column
  const opened = () => parts().find((e) => e.matches(".sidebar:target, .people:target, .thread:not([hidden])") && isDrawer(e)) ?? null;
  function settle() {
    const now = opened();
    for (const e of parts()) if (!e.matches("dialog, .toast")) e.inert = now !== null && e !== now && e !== now.nextElementSibling;
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
  addEventListener("pgchat:drawers", settle); // the thread opens and closes by a script
  addEventListener("resize", settle);
  addEventListener("keydown", (e) => {
    if (e.key !== "Escape" || e.defaultPrevented || !opened()) return;
    if (opened().matches(".thread")) opened().querySelector(".close").click(); else location.hash = "";
  });
  settle();
})();
