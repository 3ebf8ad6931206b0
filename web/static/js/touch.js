// Where a finger is the pointer: the long press, and what Enter does.
"use strict";
const touch = (() => {
  const only = matchMedia("(hover: none) and (pointer: coarse)");

  // press calls act with what at() finds, if anything, where a finger is held. It is timed, since iOS sends no contextmenu for it.
  // Meanwhile nothing is selected, and what is let go then is neither clicked nor focused.
  function press(within, at, act) {
    let timer = 0, held = null, from = null, acted = false;
    function done() {
      clearTimeout(timer);
      held?.classList.remove("pressed");
      held = null;
    }
    within.addEventListener("pointerdown", (e) => {
      done();
      acted = false;
      held = e.pointerType === "touch" && e.isPrimary ? at(e) : null;
      if (!held) return;
      held.classList.add("pressed");
      from = e;
      timer = setTimeout(() => {
        if (!held.isConnected) return;
        acted = true;
        act(held);
      }, 450);
    }, { passive: true });
    within.addEventListener("pointermove", (e) => { if (held && Math.hypot(e.clientX - from.clientX, e.clientY - from.clientY) > 10) done(); }, { passive: true });
    for (const end of ["pointerup", "pointercancel", "scroll"]) within.addEventListener(end, done, { passive: true });
    within.addEventListener("touchend", (e) => { if (acted && e.cancelable) e.preventDefault(); });
  }

  return {
    press,
    // sends says whether a key sends what is written. A phone's keyboard has no Shift Enter: there Enter breaks the line.
    sends: (e) => e.key === "Enter" && !e.shiftKey && !e.isComposing && (!only.matches || e.ctrlKey || e.metaKey),
    breaks: () => only.matches,
  };
})();
