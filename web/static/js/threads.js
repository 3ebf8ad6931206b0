// The thread beside the room: a message, what answers it, and a composer whose messages answer it. It is fetched when it is opened; from
// then on it takes what comes and changes from the frames of the room, whether the log shows that or looks back.
"use strict";
function Threads(root, { messages, send, commanded, command, equip, walk, editLast, pick, leaves, came, ended }) { // replies.js loads it
  const { room, slug } = root.dataset, at = `/rooms/${encodeURIComponent(slug)}`;
  const panel = root.querySelector("#thread-panel"), find = (selector) => panel.querySelector(selector);
  let first = 0;    // seq of the open thread's first message; 0: none is open
  let turn = 0;     // counts: what was asked for before another thread is not shown
  let early = null; // frames that came while the thread, or its earlier replies, were on their way
  let files = null; // those of the open thread's composer
  const composers = new Map(); // seq → { form, files }: a thread that is left keeps its composer while files are attached to it
  const overlays = () => getComputedStyle(panel).position === "fixed"; // else it is a column

  // --- the look -----------------------------------------------------------------------------------------------------------
  function tidy(article) {
    Room.callsReader(article);
    for (const stamp of article.querySelectorAll("time")) Replying.localise(stamp);
    return article;
  }
  function count() {
    find(".thread-count").textContent = find(".thread-first .thread-link b")?.textContent ?? "No replies yet";
  }
  function follow(change) { // the end stays in sight
    const log = find(".thread-log"), there = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
    change();
    if (there) log.scrollTop = log.scrollHeight;
  }

  // --- what comes ---------------------------------------------------------------------------------------------------------
  function put(article) { // a message of the room, as it now is
    const seq = Number(article.dataset.seq), there = find(`#t${article.id}`);
    const belongs = seq === first || Number(article.querySelector(".quote")?.dataset.thread) === first;
    if (there) leaves(there);
    if (!belongs && !(there && article.querySelector(".removed"))) { there?.remove(); return; }
    const list = find(".thread-replies");
    if (!there && find(".earlier") && seq < Number(list.firstElementChild?.dataset.seq)) return; // it comes with those before
    for (const e of article.querySelectorAll("[id], [for]")) { // here it stands under other ids
      if (e.id) e.id = `t${e.id}`;
      if (e.htmlFor) e.htmlFor = `t${e.htmlFor}`;
    }
    find(`#tp-${article.id.slice(2)}`)?.remove();
    article.id = `t${article.id}`;
    came(article);
    tidy(article);
    if (there) {
      const editor = there.querySelector(".editor"), at = there.contains(document.activeElement) ? document.activeElement : null;
      there.replaceWith(article);
      if (editor && !article.querySelector(".removed")) { // it was being edited here
        article.querySelector(".said").append(editor);
        article.classList.add("editing");
      }
      if (at && !at.matches(".reaction")) { article.tabIndex = -1; (at.isConnected ? at : article).focus({ preventScroll: true }); }
    } else list.insertBefore(article, [...list.children].find((a) => Number(a.dataset.seq) > seq) ?? null);
    if (seq === first) count();
  }
  function frame(f) {
    if (early) early.push(f);
    if (!first) return;
    if (f.type === "removed" && first < f.first) {
      close();
      live.toast("The message that began this thread is no longer kept.");
      return;
    }
    if (f.type === "behind") { open(first, false); return; } // more was missed than the page is sent
    if (f.type !== "messages" && f.type !== "change") return;
    if (f.type === "messages" && !f.content.includes(`data-thread="${first}"`)) return;
    follow(() => { for (const article of live.parse(f.content).querySelectorAll(".message")) put(article); });
  }

  function takeEarly() {
    const meanwhile = early;
    early = null;
    for (const f of meanwhile) frame(f);
  }

  // --- opening and closing ------------------------------------------------------------------------------------------------
  const get = (query) => live.ask(`${at}?${query}`);
  async function open(seq, focus = true) {
    const mine = ++turn;
    early = [];
    try {
      const html = await get(`thread=${seq}`);
      if (mine !== turn) return;
      leaves(panel);
      panel.innerHTML = html;
      panel.hidden = false;
      const opened = !first;
      set();
      takeEarly();
      const address = `${at}?thread=${first}`;
      if (root.isConnected) {
        if (opened && overlays() && !location.search.startsWith("?thread")) history.pushState({ thread: true }, "", address);
        else history.replaceState(history.state, "", address);
      }
      if (focus && !matchMedia("(max-width: 639px), (pointer: coarse)").matches) (find("#thread-body") ?? find(".thread-log")).focus();
      dispatchEvent(new Event("pgchat:drawers"));
    } catch (error) {
      if (mine !== turn) return;
      early = null;
      live.toast(`The thread could not be opened. ${error.message}`, { label: "Try again", act: () => open(seq, focus) });
    }
  }
  function close(leave = true) {
    if (!first && !early) return;
    const was = first;
    turn++;
    first = 0;
    early = null;
    panel.hidden = true;
    leaves(panel);
    panel.replaceChildren();
    files = null;
    if (leave && root.isConnected && location.search.startsWith("?thread")) {
      if (history.state?.thread) history.back(); else history.replaceState(history.state, "", at);
    }
    dispatchEvent(new Event("pgchat:drawers"));
    const back = messages.querySelector(`:scope > [data-seq="${was}"]`);
    if (back && !overlays()) { back.tabIndex = -1; back.focus({ preventScroll: true }); }
  }
  function set() { // makes what the server sent the open thread
    const log = find(".thread-log"), form = find("form.composer"), area = find("#thread-body");
    first = Number(log.dataset.thread);
    log.addEventListener("keydown", (e) => {
      walk(e);
      if (e.key !== "+" || e.ctrlKey || e.metaKey || e.altKey || e.target.closest("input, textarea")) return;
      e.preventDefault();
      pick(e.target.closest(".message"));
    });
    for (const article of panel.querySelectorAll(".message")) tidy(article);
    log.append(Object.assign(document.createElement("div"), { className: "thread-pending" }));
    for (const [id, w] of live.waitingIn(room)) {
      if (w.reply?.thread !== first || find(`#tm-${id}`)) continue;
      showPending(id, w.body, w.time, w.files);
      if (w.failed) failed(id, w.failed);
    }
    log.scrollTop = log.scrollHeight;
    files = form && compose(form);
  }
  function compose(form) {
    const left = composers.get(first);
    if (left?.files.some) { form.replaceWith(left.form); return left.files; }
    for (const [seq, other] of composers) if (!other.files.some) composers.delete(seq);
    const thread = first, article = find(".thread-first .message"), reply = { seq: thread, thread, id: article.id.slice(1), author: article.querySelector("header b").textContent };
    const area = form.elements.body, draft = `pgchat:draft:${live.user}:${room}:${thread}`, error = form.querySelector(".composer-error"), notice = form.querySelector(".composer-notice");
    const files = Files(form, { say(why) { error.textContent = why; }, send: () => form.isConnected ? form.requestSubmit() : submit() });
    composers.set(thread, { form, files });
    Writing(area, { slug, box: form, room, send: () => form.requestSubmit() });
    editLast(area, () => panel.querySelectorAll(".thread-replies .message"));
    notice.querySelector("button").addEventListener("click", () => { notice.hidden = true; area.focus(); });
    if (!area.value) area.value = live.load(localStorage, draft) || "";
    function typed() {
      live.store(localStorage, draft, area.value);
      error.textContent = "";
    }
    area.addEventListener("input", typed);
    form.addEventListener("submit", (e) => {
      if (live.ended || ended()) return; // as a plain form
      e.preventDefault();
      submit();
    });
    function submit() {
      const written = area.value.trim(), text = commanded(written);
      if (files.waits() || !written && !files.some) return;
      if (written && !text) { command(written, { form, body: area, files, said: error, typed }); return; } // it is done in the room
      notice.hidden = true;
      if ([...text].length > 8000) { error.textContent = "This is too long for one message. Shorten it, or send it in parts."; return; }
      const attached = files.take();
      send(text, attached, reply, (id, time) => {
        if (thread !== first) return;
        showPending(id, text, time, attached);
        find(".thread-log").scrollTop = find(".thread-log").scrollHeight;
      });
      area.value = "";
      typed();
      area.focus();
    }
    return files;
  }

  // --- what is on its way -------------------------------------------------------------------------------------------------
  function showPending(id, text, time, files = []) {
    const article = Room.pending(`tp-${id}`, text, files);
    article.querySelector("time").dateTime = time;
    find(".thread-pending").append(tidy(article));
  }
  function failed(id, why) {
    const article = first && find(`#tp-${id}`);
    if (!article) return;
    follow(() => Room.failed(article, id, why));
  }
  const dropped = (id) => find(`#tp-${id}`)?.remove();

  // --- what the reader does -----------------------------------------------------------------------------------------------
  panel.addEventListener("click", async (e) => {
    const earlier = e.target.closest(".earlier");
    if (e.target.closest(".close")) { e.preventDefault(); close(); }
    else if (e.target.closest('a[href^="?at="]') && overlays()) close(false); // it leads to the room
    else if (earlier) {
      e.preventDefault();
      if (early) return; // they are on their way
      const mine = turn;
      early = [];
      earlier.setAttribute("aria-busy", "true");
      try {
        const got = live.parse(await get(earlier.search.slice(1))), log = find(".thread-log"), from = log.scrollHeight - log.scrollTop;
        if (mine !== turn) return;
        find(".thread-replies").prepend(...[...got.querySelectorAll(".thread-replies > .message")].map(tidy));
        const more = got.querySelector(".earlier");
        if (more) earlier.replaceWith(more); else earlier.remove();
        log.scrollTop = log.scrollHeight - from;
        takeEarly();
      } catch (error) {
        if (mine !== turn) return;
        early = null;
        earlier.removeAttribute("aria-busy");
        live.toast(`Earlier replies could not be loaded. ${error.message}`);
      }
    }
  });
  panel.nextElementSibling.addEventListener("click", (e) => { e.preventDefault(); close(); });
  panel.addEventListener("keydown", (e) => {
    if (e.key !== "Escape" || e.defaultPrevented) return;
    e.preventDefault();
    close();
  });
  function moved() { // by Back or Forward
    const asked = location.pathname === at && location.search.match(/^\?thread=(\d+)$/)?.[1];
    if (!asked) close(false); else if (Number(asked) !== first) open(asked);
  }
  equip(panel, panel);
  Files.drop(panel, () => files);
  if (!panel.hidden) set();

  return { open, frame, failed, dropped, moved };
}
