// The pins of a room: how many there are, and the list of them beside its name. Which messages are pinned each message itself says,
// also one that the page does not hold.
"use strict";
function Pins(root, act) {
  const button = root.querySelector(".pins-button"), panel = root.querySelector("#pins"), list = panel.querySelector(".list");
  const seqs = new Set(root.dataset.pins.split(" ").filter(Boolean));
  const path = button.getAttribute("href");

  function count() {
    button.hidden = seqs.size === 0;
    button.querySelector("b").textContent = seqs.size;
    button.setAttribute("aria-label", `Pinned messages: ${seqs.size}`);
  }
  const open = () => panel.matches(":popover-open");
  let turn = 0;
  async function fill() {
    const mine = ++turn;
    try {
      const html = await live.ask(path);
      if (mine !== turn) return;
      list.innerHTML = html;
    } catch (error) {
      if (mine === turn) list.textContent = error.message;
    }
    for (const stamp of list.querySelectorAll("time")) {
      const time = new Date(stamp.dateTime);
      stamp.textContent = `${Room.dayOf(time)}, ${Room.clock.format(time)}`;
      stamp.title = Room.exact.format(time);
    }
  }
  async function show() {
    if (open()) { panel.hidePopover(); return; }
    panel.showPopover({ source: button });
    panel.focus();
    await fill();
  }
  async function toggle(article) {
    const on = !("pinned" in article.dataset);
    try {
      await act(article.id.slice(2), "pin", { on });
      live.toast(on ? "Pinned." : "No longer pinned.");
    } catch (error) { live.toast(error.message); }
  }
  button.addEventListener("click", (e) => {
    if (e.button || e.ctrlKey || e.metaKey || e.shiftKey || e.altKey) return;
    e.preventDefault();
    show();
  });
  panel.addEventListener("click", (e) => { if (e.target.closest("a, .close")) panel.hidePopover(); });
  panel.addEventListener("submit", async (e) => {
    e.preventDefault();
    const id = e.target.getAttribute("action").split("/").at(-2);
    try {
      await act(id, "pin", { on: false });
      panel.focus();
    } catch (error) { live.toast(error.message); }
  });
  count();

  return {
    // tools shows what can be done with the message.
    tools(button, article, there) {
      button.hidden = !there || !root.querySelector("#react");
      const label = "pinned" in article.dataset ? "Unpin" : "Pin";
      button.setAttribute("aria-label", label);
      button.title = label;
    },
    toggle,
    // removed forgets those of messages that are older than this one.
    removed(first) {
      const before = seqs.size;
      for (const seq of seqs) if (Number(seq) < first) seqs.delete(seq);
      if (seqs.size === before) return;
      count();
      if (open()) fill();
    },
    // changed takes a message as it now is.
    changed(frame) {
      const { seq, pinned: by } = live.parse(frame.content).querySelector(".message")?.dataset ?? {}, pinned = by !== undefined;
      if (!seq || seqs.has(seq) === pinned && !open()) return;
      pinned ? seqs.add(seq) : seqs.delete(seq);
      count();
      if (open()) fill();
    },
  };
}
