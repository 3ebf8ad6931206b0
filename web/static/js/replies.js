// What messages answer: the line above the composer that says which message the next one answers, and the quotes in the log, which
// are kept as the quoted messages are. Of those nothing is stored here but who wrote them, since they may be deleted.
"use strict";
function Replying(root, { messages, body }) {
  const line = root.querySelector("#replying"), input = line?.querySelector("input");
  const stored = `pgchat:reply:${live.user}:${root.dataset.room}`;
  let to = null; // { seq, id, author } of the message that the next one answers

  // --- what messages say --------------------------------------------------------------------------------------------------
  const changes = new Map(); // id → HTML of messages that have changed: what quotes them and comes later may not know it
  function cut(article) { // how a message begins; null: it was deleted
    if (article.querySelector(".removed")) return null;
    const text = article.querySelector(".body").textContent.trim().replace(/\s+/g, " "), all = [...text];
    return all.length <= 140 ? text : `${all.slice(0, 140).join("").trim()}…`;
  }
  function said(id) { // undefined: it is not here
    let article = messages.querySelector(`:scope > #${id}`);
    if (changes.has(id)) {
      article = live.parse(changes.get(id)).querySelector(".message");
    }
    return article ? cut(article) : undefined;
  }
  function fill(place, id) {
    const quoted = place.querySelector(".quoted"), text = said(id);
    if (text === undefined) return;
    quoted.textContent = text ?? "a removed message";
    quoted.classList.toggle("gone", text === null);
  }
  function changed(frame) {
    const id = frame.target.split("#").pop();
    changes.delete(id);
    changes.set(id, frame.content);
    if (changes.size > 200) changes.delete(changes.keys().next().value);
    for (const quote of root.querySelectorAll(`[data-of="${id}"]`)) fill(quote === input ? line : quote, id);
  }
  const seqOf = (quote) => Number(new URL(quote.href).searchParams.get("at"));
  function removed(first) { // what was said before this message
    if (to?.seq < first) set(null);
    for (const quote of root.querySelectorAll(".quote")) if (seqOf(quote) < first) gone(quote);
  }
  function gone(quote) {
    const quoted = quote.querySelector(".quoted");
    quote.querySelector("b").textContent = "";
    quoted.textContent = "a removed message";
    quoted.classList.add("gone");
  }
  function came(article) { // to the log
    const quote = article.querySelector(".quote");
    if (quote && changes.has(quote.dataset.of)) fill(quote, quote.dataset.of);
  }
  function quote(article, reply) { // has a message that is on its way say what it answers
    const link = document.createElement("a");
    link.className = "quote";
    link.href = `?at=${reply.seq}`;
    link.dataset.of = reply.id;
    link.innerHTML = `<span class="visually-hidden">Answers </span><b></b> <span class="quoted"></span>`;
    link.querySelector("b").textContent = reply.author;
    fill(link, reply.id);
    article.querySelector(".body").before(link);
    article.classList.add("answers");
  }

  // --- the composer -------------------------------------------------------------------------------------------------------
  function set(reply) {
    if (!line) return;
    to = reply;
    live.store(localStorage, stored, to && JSON.stringify(to));
    line.hidden = input.disabled = !to;
    if (!to) return;
    input.value = to.seq;
    input.dataset.of = to.id;
    line.querySelector("b").textContent = to.author;
    line.querySelector(".quoted").textContent = "";
    fill(line, to.id);
  }
  function start(article) {
    if (!body || !article?.dataset.seq || article.querySelector(".removed")) return;
    set({ seq: Number(article.dataset.seq), id: article.id, author: article.querySelector("header b").textContent });
    body.focus();
  }
  function take() { // by what is sent
    const reply = to ?? undefined;
    set(null);
    return reply;
  }
  if (line) {
    if (!line.hidden) to = { seq: Number(input.value), id: input.dataset.of, author: line.querySelector("b").textContent };
    else {
      try { set(JSON.parse(live.load(localStorage, stored))); } catch { /* what cannot be read is not kept */ }
    }
    line.querySelector(".cancel").addEventListener("click", (e) => { e.preventDefault(); set(null); body.focus(); });
    body.form.addEventListener("keydown", (e) => { // after what else Escape may close
      if (e.key === "Escape" && to && !e.defaultPrevented) { e.preventDefault(); set(null); }
    });
  }
  messages.addEventListener("keypress", (e) => { // not keydown, which would leave the letter to the composer
    if (e.key.toLowerCase() !== "r" || !e.target.matches(".message") || e.ctrlKey || e.metaKey || e.altKey) return;
    e.preventDefault();
    start(e.target);
  });
  return { start, set, take, quote, changed, came, removed };
}

Replying.older = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "numeric", minute: "2-digit" });
Replying.localise = (stamp) => { // of a time that stands under no day
  if (stamp.title) return;
  const time = new Date(stamp.dateTime);
  stamp.textContent = (time.toDateString() === new Date().toDateString() ? Room.clock : Replying.older).format(time);
  stamp.title = Room.exact.format(time);
};

// What opens threads. Their script is loaded with the first one.
function Threading(root, rest) {
  const { messages } = rest, panel = root.querySelector("#thread-panel");
  let threads = null, loading = null, missed = []; // frames that came before the script
  const load = () => loading ??= live.script(root.dataset.threads, "The thread could not be opened. Try again in a moment.").then(() => {
    threads = Threads(root, rest);
    for (const frame of missed) threads.frame(frame);
    missed = [];
    return threads;
  }, (error) => {
    loading = null;
    throw error;
  });
  const open = (seq) => load().then((ready) => ready.open(seq), (error) => live.toast(error.message));
  const threadOf = (article) => article.querySelector(".quote")?.dataset.thread ?? article.dataset.seq;
  root.addEventListener("click", (e) => {
    const link = e.target.closest(".thread-link");
    if (!link || e.button || e.ctrlKey || e.metaKey || e.shiftKey || live.ended) return;
    e.preventDefault();
    open(link.dataset.thread);
  });
  messages.addEventListener("keypress", (e) => { // not keydown, which would leave the letter to the composer
    if (e.key.toLowerCase() !== "t" || !e.target.matches(".message") || e.ctrlKey || e.metaKey || e.altKey) return;
    e.preventDefault();
    open(threadOf(e.target));
  });
  const fresh = (article) => { for (const stamp of article.querySelectorAll(".thread-link time")) Replying.localise(stamp); };
  new MutationObserver((records) => {
    for (const { addedNodes } of records) for (const node of addedNodes) if (node.matches?.(".message")) fresh(node);
  }).observe(messages, { childList: true });
  fresh(messages);
  if (!panel.hidden) load().catch((error) => live.toast(error.message));
  return {
    open: (article) => open(threadOf(article)),
    frame(frame) { if (threads) threads.frame(frame); else if (!panel.hidden) missed.push(frame); },
    failed(id, why) { threads?.failed(id, why); },
    dropped(id) { threads?.dropped(id); },
    moved() { threads?.moved(); },
  };
}
