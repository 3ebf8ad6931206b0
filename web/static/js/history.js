// The part of a room's past that the page holds: an unbroken run of messages, which need not reach to the newest one. It grows
// at either end as one scrolls there, is dropped where it is long and far from what is read, and is replaced by going to a
// message, a day or the newest. has.seq is how far the connection has told: what is between the run's end and that is a gap
// while the page looks back, and only counted. What is older than the room keeps its messages is removed from the run as from the room.
"use strict";
function Past(root, { log, messages, has, hooks }) {
  const older = root.querySelector("#older"), newer = root.querySelector("#newer");
  const at = `/rooms/${encodeURIComponent(root.dataset.slug)}`;
  const articles = () => [...messages.querySelectorAll(":scope > .message")];
  const seqOf = (article) => Number(article?.dataset.seq ?? 0);
  const first = () => seqOf(messages.querySelector(".message"));
  let kept = Number(root.dataset.first); // seq of the oldest message that there is
  const end = () => { // of the run
    let a = messages.lastElementChild;
    while (a && !a.matches(".message")) a = a.previousElementSibling;
    return Math.max(seqOf(a), kept - 1);
  };
  const behind = () => end() < has.seq; // the page looks back

  // keep holds what is read in its place while something changes above or below it.
  function inSight(above = 0) { // the first message that begins below the log's top, or so many px above it
    const all = articles(), top = log.getBoundingClientRect().top - above;
    let low = 0, high = all.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (all[middle].getBoundingClientRect().top < top) low = middle + 1; else high = middle;
    }
    return { all, index: Math.min(low, all.length - 1) };
  }
  function keep(change) {
    const { all, index } = inSight(), held = all[index], before = held?.getBoundingClientRect().top;
    change();
    if (held?.isConnected) log.scrollTop += held.getBoundingClientRect().top - before;
    hooks.changed();
  }

  // quietly changes the log without having a screen reader read it out: it is no news.
  let silence = 0;
  function quietly(change) {
    messages.ariaLive = "off";
    clearTimeout(silence);
    silence = setTimeout(() => { messages.ariaLive = "polite"; }, 1000);
    change();
  }

  // --- what comes in, what goes out -------------------------------------------------------------------------------------
  const editors = new Map(); // id → the editor of a message that was dropped while it was open
  const changes = new Map(); // id → HTML of messages that changed while they were on their way here
  let under = 0;             // requests
  function take(article) {
    const editor = article.querySelector(".editor");
    if (editor) editors.set(article.id, editor);
    hooks.leaves(article);
    article.remove();
  }
  function insert(list, put) {
    put(list);
    for (const article of list) {
      const changed = changes.get(article.id);
      let now = article;
      if (changed) {
        now = live.parse(changed).querySelector(".message") ?? article;
        article.replaceWith(now);
      }
      const editor = editors.get(now.id);
      if (editor && !now.querySelector(".removed")) {
        now.querySelector(".said").append(editor);
        now.classList.add("editing");
      }
      editors.delete(now.id);
      hooks.comes(now);
    }
  }
  async function load(query) {
    if (under++ === 0) changes.clear();
    try {
      const content = live.parse(await live.ask(`${at}?${query}`));
      hooks.lines(content);
      // What the connection has not told yet comes by it.
      const list = [...content.querySelectorAll(".message")].filter((a) => seqOf(a) <= has.seq);
      for (const article of list) article.removeAttribute("autofocus");
      return { list, notice: content.querySelector(".log-notice")?.textContent, found: content.querySelector(".found") };
    } finally {
      under--;
    }
  }

  // --- the ends ---------------------------------------------------------------------------------------------------------
  function link(kind, href, text) {
    const a = document.createElement("a");
    a.className = kind;
    a.href = href;
    a.rel = "nofollow";
    a.textContent = text;
    return a;
  }
  function ends() {
    if (first() > kept) older.replaceChildren(link("older", `${at}?before=${first()}`, "Show older messages"));
    else if (!older.querySelector(".beginning")) older.replaceChildren(root.querySelector("template.beginning").content.cloneNode(true));
    newer.hidden = !behind();
    newer.replaceChildren(...behind() ? [link("next", `${at}?after=${end()}`, "Show newer messages")] : []);
    requestAnimationFrame(near);
    settle();
  }
  let turn = 0, growing = false; // turn counts replacements: what was asked for before one is not wanted after it
  async function grow(upward) {
    if (growing || (upward ? first() <= kept : !behind())) return;
    growing = true;
    const mine = turn, place = upward ? older : newer;
    keep(() => { place.classList.add("loading"); place.setAttribute("aria-busy", "true"); });
    const done = () => { place.classList.remove("loading"); place.removeAttribute("aria-busy"); growing = false; };
    try {
      const { list } = await load(upward ? `before=${first()}` : `after=${end()}`);
      if (mine !== turn) { keep(() => { done(); ends(); }); return; }
      keep(() => {
        done();
        const from = first(), to = end();
        if (upward && !list.length) kept = from; // what was there is removed
        quietly(() => {
          insert(list.filter((a) => upward ? seqOf(a) < from : seqOf(a) > to), (some) => upward ? messages.prepend(...some) : messages.append(...some));
          hooks.arrange();
        });
        ends();
      });
      prune();
    } catch (error) {
      keep(() => {
        done();
        if (mine === turn) place.replaceChildren(link(`again ${upward ? "older" : "next"}`, at, `${upward ? "Older" : "Newer"} messages could not be loaded. Try again`));
      });
      place.title = error.message;
    }
  }
  // near loads what is next where the end of what is here comes near; what could not be loaded only when it is asked for.
  function near() {
    if (!root.isConnected) return;
    const { top, bottom } = log.getBoundingClientRect();
    if (older.querySelector("a:not(.again)") && older.getBoundingClientRect().bottom > top - 300) grow(true);
    if (newer.querySelector("a:not(.again)") && newer.getBoundingClientRect().top < bottom + 300) grow(false);
  }
  log.addEventListener("scroll", near, { passive: true });
  new ResizeObserver(near).observe(log);
  for (const place of [older, newer]) {
    place.addEventListener("click", (e) => {
      if (!e.target.closest("a.older, a.next")) return;
      e.preventDefault();
      grow(place === older);
    });
  }
  // Where there are many, what was laid out in a frame is skipped from the next one on while it is out of sight, with the size that it
  // had: were it skipped before, what is read would move when it comes into sight.
  function settle() {
    if (messages.childElementCount > 300) requestAnimationFrame(() => {
      const laid = messages.querySelectorAll(":scope > .message:not(.settled)");
      requestAnimationFrame(() => { for (const article of laid) article.classList.add("settled"); });
    });
  }
  // prune drops what is farthest from the reader, so that a page that is open for weeks stays as quick as it was. Who follows what is
  // said needs little of the past, two screens of it: it comes again as they scroll there.
  function prune() {
    if (!root.isConnected || growing) return; // another room is shown, and nothing here has a height; or what comes is to join on to what is here
    settle();
    const atEnd = log.scrollTop > -1, screen = Math.max(log.clientHeight, 600), most = Number(root.dataset.most);
    if (atEnd ? log.scrollHeight < log.clientHeight + 1.3 * screen : messages.childElementCount <= most) return;
    const drop = (some) => {
      for (const article of some) {
        if (article.contains(document.activeElement) || article.querySelector(".editor")) break;
        take(article);
      }
    };
    if (atEnd) {
      const { all, index } = inSight(.8 * screen); // so many at once that it is rare, and so few that it is quick
      if (index < 2) return;
      const some = all.slice(0, index - 1), held = some.find((article) => article.contains(document.activeElement)); // not what reaches into sight
      if (held && !held.querySelector(".editor")) log.focus({ preventScroll: true });
      drop(some);
      while (!messages.firstElementChild.matches(".message")) messages.firstElementChild.remove();
      hooks.arrange(messages.firstElementChild);
      ends();
      return;
    }
    const { all, index } = inSight();
    if (all.length <= most) return;
    const spare = all.length - Math.floor(most * 3 / 4), top = index > all.length / 2;
    keep(() => {
      drop(top ? all.slice(0, spare) : all.slice(-spare).reverse());
      hooks.arrange();
      ends();
    });
  }

  // removed drops what the room does not keep any longer: it has messages from this one on.
  function removed(from) {
    if (from <= kept) return;
    kept = from;
    has.seq = Math.max(has.seq, from - 1);
    for (const part of [older, root.querySelector("template.beginning").content]) part.querySelector(".begins")?.remove();
    keep(() => {
      quietly(() => {
        for (const article of articles()) {
          if (seqOf(article) >= from) break;
          take(article);
          editors.delete(article.id);
        }
        hooks.arrange();
      });
      ends();
    });
  }

  // --- going somewhere --------------------------------------------------------------------------------------------------
  function replace(list) {
    quietly(() => {
      for (const article of articles()) take(article);
      messages.replaceChildren();
      insert(list, (some) => messages.append(...some));
      hooks.arrange();
    });
    ends();
  }
  function show(article) {
    for (const before of messages.querySelectorAll(".found")) before.classList.remove("found");
    article.classList.add("found");
    article.removeAttribute("autofocus");
    article.scrollIntoView({ block: "center" });
    article.tabIndex = -1;
    article.focus({ preventScroll: true });
    if (root.isConnected) window.history.replaceState(window.history.state, "", `${at}?at=${article.dataset.seq}${location.hash}`);
  }
  function leave() { // what was on its way here is not wanted any more
    turn++;
    root.classList.remove("waiting");
  }
  const bySeq = (seq) => messages.querySelector(`:scope > .message[data-seq="${seq}"]`);
  // visit replaces the run by what the query gives and reports whether it could.
  async function visit(query, arrive) {
    const mine = ++turn;
    const wait = setTimeout(() => { if (mine === turn) root.classList.add("waiting"); }, 150);
    try {
      const got = await load(query);
      if (mine !== turn) return false;
      arrive(got);
      hooks.changed();
      return true;
    } catch (error) {
      if (mine === turn) live.toast(`The messages could not be loaded. ${error.message}`, { label: "Try again", act: () => visit(query, arrive) });
      return false;
    } finally {
      clearTimeout(wait);
      if (mine === turn) root.classList.remove("waiting");
    }
  }
  function arriveAt({ list, notice, found }) {
    if (notice) live.toast(notice);
    if (!found || !list.includes(found)) return;
    const here = bySeq(found.dataset.seq);
    if (!here) replace(list);
    show(here ?? bySeq(found.dataset.seq));
  }
  async function go(seq) {
    const here = bySeq(seq);
    if (here) { leave(); show(here); return true; }
    return visit(`at=${seq}`, arriveAt);
  }
  // around has the page hold what is around a message, without pointing at it.
  async function around(seq) {
    return visit(`at=${seq}`, ({ list }) => { if (list.length) replace(list); });
  }
  let way = null, wayTurn = 0; // to the newest: who asks twice waits for the same, unless something else was asked for meanwhile
  function newest() {
    if (way && wayTurn === turn) return way;
    const mine = way = toNewest();
    wayTurn = turn;
    mine.finally(() => { if (way === mine) way = null; });
    return mine;
  }
  async function toNewest() {
    const plain = () => {
      if (root.isConnected && location.search) window.history.replaceState(window.history.state, "", at + location.hash);
      log.scrollTop = 0;
    };
    if (!behind()) { leave(); plain(); hooks.changed(); return true; }
    let told = has.seq;
    const arrive = ({ list }) => { if (list.length) replace(list); plain(); };
    let ok = await visit(`before=${Number.MAX_SAFE_INTEGER}`, arrive);
    if (ok && end() < told) ok = await visit(`before=${has.seq + 1}`, arrive); // the connection is far behind the table
    // What came by the connection meanwhile was counted only.
    for (let i = 0; ok && behind() && i < 5; i++) {
      told = turn;
      await grow(false);
      if (told !== turn) return false;
      log.scrollTop = 0;
      hooks.changed();
    }
    return ok;
  }
  const form = root.querySelector("#to-date"), day = form.elements.date;
  messages.addEventListener("click", (e) => {
    const button = e.target.closest(".day button");
    if (!button) return;
    const local = (time) => `${time.getFullYear()}-${String(time.getMonth() + 1).padStart(2, "0")}-${String(time.getDate()).padStart(2, "0")}`;
    let article = button.closest(".day");
    while (article && !article.matches(".message")) article = article.nextElementSibling;
    if (article) day.value = local(new Date(article.dataset.time));
    day.max = local(new Date());
  });
  form.addEventListener("submit", (e) => {
    e.preventDefault();
    const [year, month, date] = day.value.split("-").map(Number);
    form.hidePopover();
    visit(`date=${encodeURIComponent(new Date(year, month - 1, date).toISOString())}`, (got) => {
      arriveAt(got);
      if (!got.found) newest();
    });
  });

  return {
    keep, prune, ends, go, around, newest, first, removed,
    get behind() { return behind(); },
    // arrived shows the message that the page was opened at.
    arrived() {
      const found = messages.querySelector(".found[autofocus]");
      if (found) show(found);
      return found !== null;
    },
    // changed keeps the change of a message that may be on its way here.
    changed(frame) { if (under) changes.set(frame.target.split("#").pop(), frame.content); },
  };
}
