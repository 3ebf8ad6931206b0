// Reactions to messages, in the room and in the thread beside it: the chips, who has reacted, the way to the picker. A message's HTML
// is the same for all readers: which reactions are the reader's own is seen here. What the reader turns shows at once, and is taken
// back where the server refuses it.
"use strict";
function Reactions(root, messages, act) {
  const me = document.body.dataset.name;
  const may = root.querySelector("#react") !== null;
  const turned = new Map(); // "ID EMOJI" → { want, way, done }: what the reader wants, until the message has come as it then is
  const own = new Map();    // "ID EMOJI" → whether it is the reader's, of reactions that do not name everybody
  root.toggleAttribute("data-reacts", may);

  const idOf = (article) => article.id.slice(-36);
  const idIn = (article) => `${article.closest("#thread-panel") ? "t" : ""}m-${idOf(article)}`; // also of one that is on its way
  const showAll = (id) => { for (const article of root.querySelectorAll(`#m-${id}, #tm-${id}`)) show(article); };
  const chipsOf = (article) => [...article.querySelectorAll(".reaction[value]")];
  const emojiOf = (chip) => chip.value.slice(chip.value.indexOf(" ") + 1);
  const names = (chip) => chip.dataset.by.split(" ").filter(Boolean);
  const whole = (chip) => names(chip).length === Number(chip.dataset.count);
  const stored = (chip) => names(chip).includes(me) || !whole(chip) && own.get(chip.value) === true;

  // --- the chips ------------------------------------------------------------------------------------------------------
  function show(article) {
    for (const chip of chipsOf(article)) {
      const mine = stored(chip), turn = turned.get(chip.value), want = turn?.want ?? mine;
      if (turn?.done && want === mine) turned.delete(chip.value);
      const count = Number(chip.dataset.count) + (want - mine);
      chip.hidden = count === 0;
      chip.setAttribute("aria-pressed", want);
      chip.querySelector("b").textContent = count;
      const label = `${emojiOf(chip)} ${count}, `; // a turn that is done ends with the first of a message's two places
      if (turn || !chip.getAttribute("aria-label").startsWith(label)) chip.setAttribute("aria-label", label + people(chip, me));
      if (!mine && !whole(chip) && !own.has(chip.value)) learn(article);
    }
    for (const [value, { want }] of turned) if (want && value.startsWith(`${idOf(article)} `)) add(article, value);
    const row = article.querySelector(".reactions");
    if (row) row.hidden = chipsOf(article).every((chip) => chip.hidden);
  }
  function add(article, value) { // a chip for an emoji that the message does not have yet
    if (article.querySelector(".removed") || chipsOf(article).some((chip) => chip.value === value)) return;
    let row = article.querySelector(".reactions");
    if (!row) {
      row = document.createElement("div");
      row.className = "reactions";
      article.querySelector(".said").append(row);
    }
    const chip = document.createElement("button");
    chip.className = "reaction";
    chip.value = value;
    chip.dataset.count = 0;
    chip.dataset.by = "";
    chip.setAttribute("aria-pressed", true);
    chip.setAttribute("aria-label", `${emojiOf(chip)} 1, ${me}`);
    chip.append(document.createElement("span"), document.createElement("b"));
    chip.firstChild.textContent = emojiOf(chip);
    chip.lastChild.textContent = 1;
    row.insertBefore(chip, row.querySelector(".add"));
  }
  async function turn(id, emoji, want) {
    const value = `${id} ${emoji}`, before = turned.get(value)?.way, mine = { want };
    const again = () => {
      showAll(id);
      const at = document.activeElement, now = at.matches(".reaction[hidden]") && at.closest(".message");
      if (now) { now.tabIndex = -1; now.focus({ preventScroll: true }); }
    };
    turned.set(value, mine);
    again();
    mine.way = (async () => {
      await before; // who turns twice means the last
      try {
        await act(id, "reactions", { emoji, on: want });
        own.set(value, want);
      } catch (error) {
        if (turned.get(value) === mine) turned.delete(value);
        live.toast(error.message);
      }
    })();
    await mine.way;
    mine.done = true;
    again();
    setTimeout(() => { if (turned.get(value) === mine && turned.delete(value)) again(); }, 5000); // the message has long come
  }
  // Of a message with very many reactions the page has the first names only.
  const learning = new Set();
  async function learn(article) {
    const id = idOf(article);
    if (learning.has(id)) return;
    learning.add(id);
    try {
      const answer = await live.ask(`/rooms/${encodeURIComponent(root.dataset.slug)}/messages/${id}/reactions`);
      for (const r of JSON.parse(answer).reactions) own.set(`${id} ${r.emoji}`, r.by.includes(me));
      showAll(id);
    } catch { /* they show as not the reader's; the server knows */ }
  }

  // --- choosing -------------------------------------------------------------------------------------------------------
  async function pick(article) {
    if (!may || !article || article.querySelector(".removed")) return;
    const id = idOf(article), here = idIn(article), at = article.querySelector(".said").getBoundingClientRect();
    const beside = document.activeElement.closest(".add")?.getBoundingClientRect() ?? { left: at.right - 380, top: at.top, bottom: at.bottom };
    try {
      const emoji = await Writing.choose(beside);
      if (emoji) turn(id, emoji, true);
    } catch (error) { live.toast(error.message); }
    const there = here[0] === "t" && root.querySelector(`#${here}`); // in the thread
    if (there) { there.tabIndex = -1; there.focus({ preventScroll: true }); } else focus(here, "");
  }
  root.addEventListener("click", (e) => {
    const chip = e.target.closest(".reaction"), article = e.target.closest(".message");
    if (!chip) return;
    e.preventDefault();
    if (chip.matches(".add")) { pick(article); return; }
    if (!may) { tell(chip); return; }
    hush();
    turn(idOf(article), emojiOf(chip), chip.getAttribute("aria-pressed") !== "true");
  });
  messages.addEventListener("keydown", (e) => {
    if (e.key !== "+" || e.ctrlKey || e.metaKey || e.altKey || e.target.closest("input, textarea")) return;
    e.preventDefault();
    pick(e.target.closest(".message"));
  });

  // --- who has reacted ------------------------------------------------------------------------------------------------
  // By pointing at a chip, by the keyboard's focus, by a long press.
  let who = null, of = null, soon = 0;
  function hush() {
    clearTimeout(soon);
    who?.remove();
    who = of = null;
  }
  function people(chip, self) {
    const mine = chip.getAttribute("aria-pressed") === "true", list = names(chip).filter((name) => name !== me);
    const others = Number(chip.querySelector("b").textContent) - list.length - mine;
    if (mine) list.unshift(self);
    if (others > 0) list.push(others === 1 ? "1 other" : `${others} others`);
    return list.length < 2 ? list.join("") : `${list.slice(0, -1).join(", ")} and ${list.at(-1)}`;
  }
  function tell(chip) {
    hush();
    of = chip;
    who = document.createElement("div");
    who.className = "who";
    who.setAttribute("aria-hidden", true); // it says what the chip's name says
    who.append(document.createElement("span"), people(chip, "you"));
    who.firstChild.textContent = emojiOf(chip);
    who.popover = "manual";
    root.append(who); // it goes with the room
    who.showPopover();
    place();
  }
  function place() {
    if (!who) return;
    const at = of.getBoundingClientRect(), size = who.getBoundingClientRect(), log = of.closest("#log, .thread-log")?.getBoundingClientRect();
    if (!log || at.bottom < log.top || at.top > log.bottom) { hush(); return; }
    who.style.left = `${Math.max(8, Math.min(at.left, innerWidth - size.width - 8))}px`;
    who.style.top = `${at.top > size.height + 12 ? at.top - size.height - 6 : at.bottom + 6}px`;
  }
  const chipAt = (e) => e.target.closest?.(".reaction[value]");
  root.addEventListener("pointerover", (e) => {
    if (e.pointerType !== "mouse") return;
    hush();
    const chip = chipAt(e);
    if (chip) soon = setTimeout(() => { if (chip.isConnected) tell(chip); }, 300);
  });
  root.addEventListener("pointerleave", (e) => { if (e.pointerType === "mouse") hush(); });
  root.addEventListener("focusin", (e) => {
    const chip = chipAt(e);
    if (chip?.matches(":focus-visible")) tell(chip); else hush();
  });
  root.addEventListener("focusout", hush);
  touch.press(root, chipAt, tell);
  root.addEventListener("contextmenu", (e) => {
    const chip = chipAt(e);
    if (!chip || e.pointerType === "mouse") return;
    e.preventDefault();
    e.stopImmediatePropagation();
    tell(chip);
  }, true);
  root.addEventListener("scroll", place, { passive: true, capture: true }); // of the log and of the thread
  root.addEventListener("pointerdown", hush, { passive: true });
  root.addEventListener("keydown", (e) => { if (e.key === "Escape" && who) { e.stopPropagation(); e.preventDefault(); hush(); } }, true);

  // --- messages come and change -----------------------------------------------------------------------------------------
  let held = null; // where the focus is: [id, value of the chip], so that it outlives the message's change
  root.addEventListener("focusin", (e) => {
    const article = e.target.closest(".message");
    held = article && (e.target === article || e.target.matches(".reaction")) ? [idIn(article), e.target.value ?? ""] : null;
  });
  root.addEventListener("focusout", (e) => { if (e.relatedTarget) held = null; }); // else it may have gone with its message
  function focus(id, value) {
    const article = root.querySelector(`#${id}`);
    if (!article || document.activeElement !== document.body) return;
    const to = value && chipsOf(article).find((chip) => chip.value === value) || article;
    if (to === article) article.tabIndex = -1;
    to.focus({ preventScroll: true });
  }
  const come = new MutationObserver((records) => {
    for (const { addedNodes } of records) {
      for (const node of addedNodes) {
        if (!node.matches?.(".message")) { node.querySelectorAll?.(".message").forEach(show); continue; }
        show(node);
        if (held?.[0] === node.id) focus(...held);
      }
    }
  });
  come.observe(messages, { childList: true });
  come.observe(root.querySelector("#thread-panel"), { childList: true, subtree: true });
  root.querySelectorAll(".message").forEach(show);

  return { may, pick };
}
