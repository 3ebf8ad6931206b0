// A room as the page shows it: its log, its composer, what of its messages is on its way out.
"use strict";
function Room(root) {
  const find = (selector) => root.querySelector(selector);
  const { room, slug, title } = root.dataset;
  const log = find("#log");
  const messages = find("#messages");
  const pending = find("#pending");
  const jump = find("#jump");
  const form = find("#composer");
  const body = find("#body");
  const maxBody = 8000;
  const drafts = `pgchat:draft:${live.user}:${room}`;
  const [seq, rev, history] = root.dataset.cursor.split(".");
  const has = { seq: Number(seq), rev: Number(rev) }; // what the connection has told: all messages up to seq and all changes up to rev

  const view = {
    root, room, slug, title, history, ended: "", online: root.querySelectorAll(".people li").length,
    cursor() { putIn(); return `${has.seq}.${has.rev}.${view.history}`; }, // of the database's history
    problem, end, failed, before, after, shown, hidden, mark, reads, keepPlace,
    go: (seq) => past.go(seq),
    unsent: () => root.querySelector(".attached li, .editor") !== null, // what is lost with the view, unlike a draft
    moved: () => threads.moved(),
    showState(kind, text) {
      live.set(find("#state"), { className: `state ${kind}` });
      live.set(find("#state-text"), { textContent: text });
      live.set(find("#state-online"), { textContent: kind === "live" && view.online ? `· ${view.online} online` : "" }); // not told aloud each time
    },
  };

  // --- the log's look: days, grouping, local time ---------------------------------------------------------------------
  const lines = Lines(messages);
  let firstNew = null, newLine = null; // the first message that was not read when the room was shown, and the line above it
  // All, or from one on to another.
  function arrange(from, to) {
    if (!from) for (const day of messages.querySelectorAll(".day")) day.remove();
    lines.place(past.behind, from);
    log.classList.toggle("empty", !log.querySelector(".message"));
    const articles = [];
    for (let a = from ?? messages.firstElementChild; a; a = a === to ? null : a.nextElementSibling) articles.push(a);
    let before = from?.previousElementSibling;
    while (before && !before.matches(".message")) before = before.previousElementSibling;
    let beforeTime = before && new Date(before.dataset.time);
    if (!to) articles.push(...pending.children);
    for (const article of articles) {
      if (!article.matches(".message")) continue;
      const time = new Date(article.dataset.time);
      Room.localise(article);
      const newDay = !before || time.toDateString() !== beforeTime.toDateString();
      if (newDay && article.parentNode === messages) {
        const line = document.createElement("div");
        line.className = "day";
        line.dataset.time = article.dataset.time;
        const choose = line.appendChild(document.createElement("button"));
        choose.type = "button";
        choose.title = "Go to a day";
        choose.textContent = Room.dayOf(time);
        choose.popoverTargetElement = find("#to-date");
        let first = article === firstNew ? newLine : article; // of what is of that day
        for (let p = first.previousElementSibling; p?.matches(".line") && new Date(p.dataset.time).toDateString() === time.toDateString(); p = p.previousElementSibling) first = p;
        first.before(line);
        if (from) for (const day of messages.querySelectorAll(".day[data-time]")) day.firstElementChild.textContent = Room.dayOf(new Date(day.dataset.time)); // it was today
      }
      article.classList.toggle("continues", !newDay && article !== firstNew && !article.previousElementSibling?.matches(".line") && before.dataset.author === article.dataset.author && time - beforeTime < Room.groupWithin);
      before = article;
      beforeTime = time;
    }
  }

  // --- scrolling ------------------------------------------------------------------------------------------------------
  // The log is laid out from its end (column-reverse): scrollTop is 0 at the newest message and negative above it, so
  // the browser itself keeps the end in sight when the log shrinks, and the place when older messages come.
  const atBottom = () => log.scrollTop > -60;
  const atNewest = () => atBottom() && !past.behind;
  const toBottom = () => { log.scrollTop = 0; };
  function follow(change) { // for what is added below the reader: the end stays in sight, or else the place
    const there = atBottom(), height = log.scrollHeight;
    change();
    if (there) toBottom();
    else log.scrollTop -= log.scrollHeight - height;
  }
  let unseen = 0;
  function showJump() {
    if (atNewest()) unseen = 0;
    jump.hidden = unseen === 0 && !past.behind;
    const count = unseen === 1 ? "1 new message" : `${unseen.toLocaleString()} new messages`;
    jump.querySelector("span").textContent = !past.behind ? count : unseen ? `${count} · jump to the newest` : "Jump to the newest";
  }
  log.addEventListener("scroll", () => {
    if (atNewest()) { showJump(); mark(); }
    showBar();
  }, { passive: true });
  jump.addEventListener("click", async () => {
    if (!await past.newest()) return;
    toBottom();
    body?.focus();
    mark();
  });

  // --- what is new ----------------------------------------------------------------------------------------------------
  // Reading is being at the newest message with the window in front. What was unread before stays under its line until the
  // room is left.
  const bar = find("#unread-bar");
  let keepUnread = false; // the reader wants it to stay unread
  let count = 0;          // messages below the line when it was drawn
  let readTo = null;      // the line stands after this message, if that is here
  function drawLine(read) {
    eraseLine();
    count = Math.max(0, has.seq - read);
    if (count) { readTo = read; placeLine(); }
  }
  function placeLine() {
    newLine?.remove();
    newLine = null;
    firstNew = [...messages.querySelectorAll(".message")].find((a) => Number(a.dataset.seq) > readTo && a.dataset.author !== live.user) ?? null;
    if (!firstNew) return;
    newLine = document.createElement("div");
    newLine.className = "new";
    const said = newLine.appendChild(document.createElement("span"));
    said.setAttribute("role", "separator");
    said.textContent = "New";
    const done = newLine.appendChild(document.createElement("button"));
    done.type = "button";
    done.textContent = "Mark as read";
    done.addEventListener("click", () => { allRead(); (body ?? log).focus({ preventScroll: true }); });
    firstNew.before(newLine);
  }
  function eraseLine() {
    newLine?.remove();
    newLine = firstNew = readTo = null;
    count = 0;
    showBar();
  }
  function showBar() {
    const above = newLine && newLine.getBoundingClientRect().bottom < log.getBoundingClientRect().top;
    if (bar.hidden === !above) return;
    bar.hidden = !above;
    bar.querySelector("span").textContent = count === 1 ? "1 new message" : `${count} new messages`;
  }
  bar.addEventListener("click", async () => {
    // The line stands above the oldest message that is here while the first new one is older still.
    if (past.first() > readTo + 1 && !await past.around(readTo + 1)) return;
    newLine?.scrollIntoView({ block: "start" });
    log.scrollTop -= 16;
    (body ?? log).focus({ preventScroll: true });
  });
  function reads() { return !keepUnread && root.isConnected && document.visibilityState === "visible" && document.hasFocus() && atNewest(); }
  function mark() {
    if (!(sidebar.read(room) < has.seq) || !reads()) return;
    sidebar.mark(room, has.seq);
    live.read(room, has.seq);
  }
  function unreadFrom(article) {
    keepUnread = true;
    const seq = Number(article.dataset.seq) - 1;
    sidebar.mark(room, seq);
    live.read(room, seq, true);
    drawLine(seq);
    arrange();
  }
  async function allRead() {
    keepUnread = false;
    eraseLine();
    arrange();
    if (past.behind && !await past.newest()) return;
    toBottom();
    mark();
  }

  // What the author typed. The page shows something else where it is Markdown, and then has it in data-source.
  const sourceOf = (article) => article.dataset.source ?? article.querySelector(".body").textContent;

  // --- a message's tools ----------------------------------------------------------------------------------------------
  const tools = find("#tools"), more = tools.querySelector(".more");
  more.addEventListener("click", (e) => {
    e.stopPropagation();
    tools.classList.add("all");
    tools.querySelector(".rest").focus({ preventScroll: true });
  });
  function showTools(article) {
    if (!article?.dataset.seq || article.classList.contains("editing")) { hideTools(); return; }
    const mine = article.dataset.author === live.user, there = !article.querySelector(".removed"), beside = article.closest("#thread-panel") !== null;
    tools.querySelector(".react").hidden = !there || !reacting.may;
    pins.tools(tools.querySelector(".pin"), article, there && !beside);
    tools.querySelector(".open-thread").hidden = tools.querySelector(".unread-from").hidden = beside;
    tools.querySelector(".copy").hidden = !there;
    tools.querySelector(".reply").hidden = !there || !body || beside;
    tools.querySelector(".edit").hidden = !mine || !there || !body;
    tools.querySelector(".delete").hidden = !(mine || "may" in root.dataset) || !there || !body;
    const offered = [...tools.children].filter((tool) => tool !== more && !tool.hidden);
    offered.forEach((tool, i) => tool.classList.toggle("rest", offered.length > 5 && i > 3)); // where they are large there is place for five
    more.hidden = offered.length < 6;
    if (tools.parentNode !== article) {
      tools.classList.remove("all");
      tools.classList.toggle("above", article.getBoundingClientRect().top > innerHeight / 2);
      article.append(tools);
    }
    tools.hidden = false;
  }
  function hideTools() {
    tools.hidden = true;
    if (tools.parentNode !== root) root.append(tools);
  }
  function equip(list, around) { // has the messages in it show them
    list.addEventListener("pointerover", (e) => { if (e.pointerType === "mouse") showTools(e.target.closest(".message")); });
    list.addEventListener("focusin", (e) => { // a chip that is tapped is not asked for more
      if (!e.target.matches(".reaction:not(:focus-visible)")) showTools(e.target.closest(".message"));
    });
    touch.press(around, (e) => e.target.closest("a, input, textarea, .reaction[value], #tools") ? null : e.target.closest(".message"), showTools);
    list.addEventListener("contextmenu", (e) => { // a long press, of pens too
      const article = e.target.closest(".message");
      if (e.pointerType === "mouse" || e.target.closest("a") || !article) return;
      e.preventDefault();
      showTools(article);
    });
    around.addEventListener("pointerleave", (e) => { if (e.pointerType === "mouse" && list.contains(tools) && !list.contains(document.activeElement)) hideTools(); });
  }
  equip(messages, log);
  root.addEventListener("pointerdown", (e) => { if (e.pointerType === "touch" && !tools.contains(e.target)) hideTools(); }, { passive: true });
  const idOf = (article) => article.id.slice(-36); // beside the room a message stands under another id
  tools.addEventListener("click", (e) => {
    const article = tools.closest(".message");
    if (e.target.closest(".react")) reacting.pick(article);
    if (e.target.closest(".reply")) replying.start(article);
    if (e.target.closest(".open-thread")) threads.open(article);
    if (e.target.closest(".pin")) pins.toggle(article);
    if (e.target.closest(".unread-from")) unreadFrom(article);
    if (e.target.closest(".copy")) copy(sourceOf(article), "Copied.");
    if (e.target.closest(".copy-link")) copy(article.querySelector(".when").href, "The link is copied.");
    if (e.target.closest(".edit")) edit(article);
    if (e.target.closest(".delete")) remove(article);
    hideTools();
  });
  async function copy(text, done) {
    try {
      await navigator.clipboard.writeText(text);
      live.toast(done);
    } catch { live.toast("The browser does not let the page copy. Select it instead."); }
  }
  // act asks for a change of a message; what comes of it comes as to everybody. The error's message is for people.
  const act = (id, what, fields = {}) => live.ask(`/rooms/${encodeURIComponent(slug)}/messages/${id}/${what}`, fields);
  const reacting = Reactions(root, messages, act);
  const pins = Pins(root, act);
  async function remove(article) {
    const id = idOf(article);
    try {
      await act(id, "delete");
      live.toast("Deleted.", { label: "Undo", act: () => act(id, "undelete").catch((e) => live.toast(e.message)) });
    } catch (e) { live.toast(e.message); }
  }
  function edit(article) {
    if (article.classList.contains("editing")) return;
    const id = idOf(article), text = article.saved ?? (article.querySelector(".body").hidden ? "" : sourceOf(article));
    const names = [...article.querySelectorAll(".files [data-name]")].map((f) => f.dataset.name).join(", "); // what it says without a text
    const editor = document.createElement("form");
    editor.className = "editor";
    editor.innerHTML = `<textarea aria-label="Edit the message"></textarea><p class="field-error" role="alert" hidden></p>
      <div class="row"><button class="primary">Save</button><button type="button" class="cancel">Cancel</button></div>`;
    const area = editor.querySelector("textarea"), error = editor.querySelector(".field-error");
    area.value = text;
    // The composer's buttons, of its own.
    const own = article.closest("#thread-panel") ? `thread-${id}` : id;
    const buttons = document.querySelector("form:not(.editor):has(> .format-bar)")?.querySelectorAll(".format-bar, .composer-foot > button:is([aria-controls], [aria-haspopup])") ?? [];
    for (const [i, button] of buttons.entries()) {
      const now = button.cloneNode(true);
      now.id = `${["format-bar", "format", "emoji"][i]}-${own}`;
      if (i === 1) now.setAttribute("aria-controls", `format-bar-${own}`);
      if (i === 0) area.after(now); else editor.querySelector(".row").append(now);
    }
    article.querySelector(".said").append(editor);
    article.classList.add("editing");
    const close = () => { // the message may have been swapped meanwhile
      const after = editor.closest("#thread-panel")?.querySelector("#thread-body") ?? body;
      editor.closest(".message")?.classList.remove("editing");
      editor.remove();
      after?.focus({ preventScroll: true });
    };
    const say = (why) => { error.textContent = why; error.hidden = false; area.focus(); };
    editor.querySelector(".cancel").addEventListener("click", close);
    area.addEventListener("keydown", (e) => {
      if (e.key === "Escape") { e.preventDefault(); e.stopPropagation(); close(); }
    });
    editor.addEventListener("submit", async (e) => {
      e.preventDefault();
      if (area.value.trim() === text) { close(); return; }
      if (!length(area.value) && !names) { say("A message needs some text. To remove it, delete it."); return; }
      if (length(area.value) > maxBody) { say("This is too long for one message."); return; }
      const saved = area.value.trim(), now = editor.closest(".message");
      try {
        await act(id, "edit", { body: saved || names });
        now.saved = saved; // until the change comes, which brings another element
        close();
      } catch (why) { say(why.message); }
    });
    Writing(area, { slug, box: editor, send: () => editor.requestSubmit() });
    area.focus();
    area.setSelectionRange(text.length, text.length);
    if (editor.getBoundingClientRect().bottom > article.closest(".log, .thread-log").getBoundingClientRect().bottom) editor.scrollIntoView({ block: "nearest" });
  }
  // The arrows go from message to message.
  function walk(e) {
    if (e.key !== "ArrowUp" && e.key !== "ArrowDown" || e.target.closest("input, textarea, a:not(.when)")) return;
    const all = [...e.currentTarget.querySelectorAll(".message[data-seq]:not([data-seq=''])")], at = all.indexOf(document.activeElement.closest(".message"));
    const next = at < 0 ? all.at(-1) : all[at + (e.key === "ArrowUp" ? -1 : 1)];
    if (!next) return;
    e.preventDefault();
    next.tabIndex = -1;
    next.focus();
  }
  log.addEventListener("keydown", walk);
  // editLast has ↑, where nothing is typed, edit the last message of the reader's among those that all() gives.
  function editLast(area, all) {
    area.addEventListener("keydown", (e) => {
      if (e.key !== "ArrowUp" || area.value || e.shiftKey || e.altKey || e.ctrlKey || e.metaKey) return;
      const mine = [...all()].findLast((m) => m.dataset.author === live.user && m.dataset.seq && !m.querySelector(".removed"));
      if (mine) { e.preventDefault(); edit(mine); }
    });
  }

  const replying = Replying(root, { messages, body });
  const threads = Threading(root, {
    messages, act, commanded, command, equip, walk, editLast, came: replying.came, ended: () => view.ended,
    pick: (article) => reacting.pick(article),
    leaves(part) { if (part.contains(tools)) hideTools(); },
    send(text, attached, reply, shown) { // what is being read in the room stays in sight
      const message = live.send(room, slug, text, attached, reply);
      if (!past.behind) follow(() => { showPending(message.id, text, message.time, attached, reply); arrange(); });
      shown(message.id, message.time);
      message.now();
    },
  });
  const past = Past(root, { log, messages, has, hooks: {
    arrange(only) {
      if (readTo !== null) placeLine();
      arrange(only, only);
    },
    lines: (fragment) => lines.learn(fragment),
    comes(article) { // it may have been on its way out
      const id = article.id.slice(2);
      find(`#p-${id}`)?.remove();
      live.settle(id);
      replying.came(article);
    },
    leaves(article) { if (article.contains(tools)) hideTools(); },
    changed() { showJump(); showBar(); mark(); },
  } });

  // --- sending ----------------------------------------------------------------------------------------------------------
  function showPending(id, text, time, files = [], reply) {
    const article = Room.pending(`p-${id}`, text, files);
    article.dataset.time = time;
    article.files = files;
    if (reply) replying.quote(article, reply);
    pending.append(article);
  }
  function failed(id, why) {
    threads.failed(id, why);
    const article = find(`#p-${id}`);
    if (!article) return;
    const text = article.querySelector(".body").textContent, reply = new Map(live.waitingIn(room)).get(id)?.reply;
    follow(() => Room.failed(article, id, why, body && (() => {
      body.value = body.value.trim() ? `${body.value}\n${text}` : text;
      files.put(article.files);
      article.remove();
      live.settle(id);
      if (reply) { replying.set(reply); threads.dropped(id); }
      typed();
      body.focus();
    })));
  }
  const said = find("#composer-error");
  function problem(text, href, label) {
    if (!form) { live.toast(text, href && { href, label }); return; }
    said.replaceChildren(text);
    if (!href) return;
    const link = document.createElement("a");
    link.href = href;
    link.textContent = label;
    said.append(" ", link);
  }
  function end(text, label, href) {
    view.ended = text;
    problem(`${text}.`, href, label);
  }
  const files = form && Files(form, { say: problem, send: () => form.isConnected ? form.requestSubmit() : submit() });
  Files.drop(find("main"), () => files);
  const counter = find("#count");
  const length = (text) => [...text.trim()].length;
  function typed() {
    live.store(localStorage, drafts, body.value);
    sidebar.draft(room);
    const n = length(body.value);
    counter.textContent = n > maxBody - 500 ? `${n.toLocaleString()} of ${maxBody.toLocaleString()}` : "";
    counter.classList.toggle("over", n > maxBody);
    said.textContent = "";
    body.removeAttribute("aria-invalid");
    if (!CSS.supports("field-sizing", "content")) {
      body.style.height = "auto";
      body.style.height = `${body.scrollHeight}px`;
    }
  }
  // A command is not said: the server does it and answers with what to tell. It takes these too, from forms.
  function commanded(text) { // what of it is a message; "": it is a command
    const name = text.match(/^\/([a-z]+)(?:\s|$)/i)?.[1]?.toLowerCase();
    if (name === "me" && text.length > 3) return `/me ${text.slice(3).trim()}`;
    return name ? "" : text.replace(/^\/(?=\/[a-z]+(?:\s|$))/i, "");
  }
  async function command(text, { form, body, files, said, typed }) { // of a composer
    if (files.some) { said.textContent = "A command takes no files. Send them first, or remove them."; return; }
    const notice = form.querySelector(".composer-notice");
    said.textContent = "";
    form.setAttribute("aria-busy", "true");
    try {
      notice.querySelector("p").textContent = await live.ask(form.action, { id: form.elements.id.value, body: text });
      notice.hidden = false;
      if (body.value.trim() !== text) return; // something else is typed meanwhile
      body.value = "";
      typed();
    } catch (error) {
      said.textContent = error.message;
    } finally {
      form.removeAttribute("aria-busy");
    }
  }
  if (form) {
    const notice = find("#composer-notice");
    Writing(body, { slug, box: form, room, send: () => form.requestSubmit() });
    notice.querySelector("button").addEventListener("click", () => { notice.hidden = true; body.focus(); });
    if (!body.value) body.value = live.load(localStorage, drafts) || "";
    body.required = false; // white space is told below
    typed();
    body.addEventListener("input", typed);
    editLast(body, () => messages.querySelectorAll(".message"));
    form.addEventListener("submit", (e) => {
      if (live.ended || view.ended) return; // as a plain form
      e.preventDefault();
      submit();
    });
  }
  function submit() {
    const n = length(body.value);
    if (files.waits() || n === 0 && !files.some) return;
    if (n > maxBody) {
      said.textContent = "This is too long for one message. Shorten it, or send it in parts.";
      body.setAttribute("aria-invalid", "true");
      return;
    }
    const written = body.value.trim(), text = commanded(written);
    if (written && !text) { command(written, { form, body, files, said, typed }); return; }
    find("#composer-notice").hidden = true;
    const attached = files.take(), reply = replying.take();
    const message = live.send(room, slug, text, attached, reply);
    showPending(message.id, text, message.time, attached, reply);
    arrange();
    toBottom();
    message.now();
    if (past.behind) past.newest();
    body.value = "";
    typed();
    body.focus();
  }

  // --- what comes -------------------------------------------------------------------------------------------------------
  let kept = null, keptFocus = false; // the editor of a message that is swapped, and whether one types in it
  let at = ""; // what had the focus of a message that is swapped, as a selector
  let then = { there: true, height: 0, above: false }; // the log before a swap; above: one reads above what is swapped
  function before(frame) { // reports whether the frame is to be swapped in
    threads.frame(frame);
    if (frame.type === "messages") { take(frame); return false; }
    putIn();
    then = { there: atNewest(), height: log.scrollHeight };
    switch (frame.type) {
      case "removed": // what was too old
        past.removed(frame.first);
        replying.removed(frame.first);
        pins.removed(frame.first);
        break;
      case "behind": // too many to take them all: they are counted, and read as one scrolls there
        missed(frame.seq);
        past.ends();
        break;
      case "change": { // of a message that is not on the page: nothing to do
        const article = document.querySelector(frame.target);
        replying.changed(frame);
        if (!article) past.changed(frame);
        pins.changed(frame);
        kept = article?.querySelector(".editor") ?? null;
        keptFocus = kept?.contains(document.activeElement) ?? false;
        at = article && !keptFocus ? focused(article) : "";
        then.all = tools.classList.contains("all");
        if (article?.contains(tools)) hideTools();
        then.above = article?.getBoundingClientRect().top >= log.getBoundingClientRect().top;
        return article !== null;
      }
      case "lines":
        takeLines(frame.lines);
        break;
      case "changed":
        has.rev = Math.max(has.rev, frame.rev);
        break;
      case "typing":
        showTyping(frame.typing);
        break;
      case "presence":
        view.online = frame.online;
        live.showState();
        break;
    }
    return true;
  }
  function focused(article) { // "": nothing, or what reactions.js looks after
    const e = document.activeElement;
    if (e === article || !article.contains(e) || e.matches(".reaction")) return "";
    return tools.contains(e) ? `#tools .${e.classList[1]}` : [".when", ".quote", ".thread-link"].find((s) => e.matches(s)) ?? ".gone-with-it";
  }
  function focusOn(article) { // or on the message, where it has no such thing any more
    if (at.startsWith("#tools")) { showTools(article); tools.classList.toggle("all", then.all); }
    article.tabIndex = -1;
    article.focus({ preventScroll: true }); // what only then shows is there
    const to = article.querySelector(at);
    if (to?.checkVisibility()) to.focus({ preventScroll: true });
  }
  function takeLines(html) {
    const there = atNewest();
    past.keep(() => { lines.learn(live.parse(html)); arrange(); });
    if (there) toBottom();
  }
  function missed(last) { // up to there the page does not have them
    unseen += last - has.seq;
    has.seq = last;
    if (readTo === null) { drawLine(sidebar.read(room)); arrange(); } else count = has.seq - readTo;
    showJump();
  }
  function after(frame) {
    if (frame.type === "change") {
      const article = document.querySelector(frame.target);
      if (kept && article && !article.querySelector(".removed")) { // it was being edited here
        article.querySelector(".said").append(kept);
        article.classList.add("editing");
        if (keptFocus) kept.querySelector("textarea").focus({ preventScroll: true });
      }
      if (firstNew?.id === article?.id) firstNew = article;
      arrange();
      if (at && article) focusOn(article);
      if (then.there) toBottom();
      else if (then.above) log.scrollTop -= log.scrollHeight - then.height;
    }
    if (frame.type === "presence") { find("#away").replaceChildren(); people.came(); }
  }
  // Messages that come fast are put in some at a time, since each time the log is laid out; they are made ready as they come. What
  // is too much is dropped between: a frame has time for one of both.
  let coming = [], putAt = 0, dropping = false, soon = 0;
  function take({ first, last, content }) {
    const articles = [...live.parse(content).querySelectorAll(".message")];
    articles.forEach(Room.localise);
    coming.push({ first, last, articles });
    if (performance.now() >= putAt + 100 && (!soon || document.hidden)) put();
    soon ||= setTimeout(work, 50);
  }
  function work() {
    soon = 0;
    if (dropping) { dropping = false; past.prune(); } else put();
    if (dropping || coming.length) soon = setTimeout(work, 50);
  }
  function put() { // of much some at a time, but where nobody looks: there are no frames, and hardly a timer
    const all = coming.reduce((n, { articles }) => n + articles.length, 0);
    putIn(document.hidden ? all : Math.max(8, all / 2));
  }
  function putIn(most = Infinity) { // what came at once stays together
    let some = 0;
    const rest = coming.findIndex(({ articles }) => (some += articles.length) > most);
    const frames = coming.splice(0, rest < 0 ? Infinity : Math.max(1, rest)).filter((frame) => frame.last > has.seq); // or they are here already
    if (!frames.length) return;
    putAt = performance.now();
    dropping = true;
    const { first } = frames[0], { last } = frames.at(-1);
    if (past.behind) { missed(last); return; }
    const there = atNewest(), height = log.scrollHeight, read = sidebar.read(room);
    const fresh = frames.flatMap((frame) => frame.articles);
    messages.append(...fresh);
    has.seq = last;
    let mine = false;
    for (const article of fresh) {
      const id = idOf(article), own = find(`#p-${id}`);
      if (own) { own.remove(); mine = true; }
      live.settle(id);
      replying.came(article);
    }
    if (mine) keepUnread = false; // who answers has read
    const unread = !newLine && read < first && !(document.visibilityState === "visible" && document.hasFocus() && there);
    if (unread) drawLine(read);
    arrange(unread ? null : fresh[0]);
    if (there || mine) { toBottom(); mark(); }
    else {
      log.scrollTop -= log.scrollHeight - height;
      unseen += fresh.length;
      showJump();
    }
  }

  function showTyping(names) {
    const others = names.filter((name) => name !== document.body.dataset.name);
    find("#typing").textContent = others.length === 0 ? "" : others.length === 1 ? `${others[0]} is typing…`
      : others.length <= 3 ? `${others.slice(0, -1).join(", ")} and ${others.at(-1)} are typing…` : "Several people are typing…";
  }

  // "Show all" opens a message downward: its first line stays where it is.
  messages.addEventListener("change", (e) => {
    if (!e.target.matches(".unclamp")) return;
    const now = log.scrollHeight;
    e.target.checked = !e.target.checked;
    const before = log.scrollHeight;
    e.target.checked = !e.target.checked;
    log.scrollTop -= now - before;
  });

  // --- coming and going -------------------------------------------------------------------------------------------------
  let place = 0; // where the log was scrolled to when the room was left
  let shownBefore = false; // else it is where it was when its page was left, which is kept by the first message in sight
  const placeKept = `pgchat:place:${room}`;
  function keepPlace() {
    const { top } = log.getBoundingClientRect();
    const held = atNewest() ? null : [...messages.querySelectorAll(".message")].find((a) => a.getBoundingClientRect().bottom > top);
    live.store(sessionStorage, placeKept, held ? `${held.dataset.seq} ${Math.round(held.getBoundingClientRect().top - top)}` : "");
  }
  async function restorePlace() {
    const [seq, offset] = (live.load(sessionStorage, placeKept) ?? "").split(" ").map(Number);
    if (!seq) return;
    const held = () => messages.querySelector(`:scope > .message[data-seq="${seq}"]`);
    if (!held() && !await past.around(seq) || !held()) return;
    log.scrollTop += held().getBoundingClientRect().top - log.getBoundingClientRect().top - offset;
    showJump();
  }
  function hidden() {
    putIn();
    keepPlace();
    place = log.scrollTop;
    keepUnread = false;
    hideTools();
    showTyping([]);
  }
  function shown() {
    drawLine(sidebar.read(room));
    for (const [id, w] of live.waitingIn(room)) { // not on the page yet: another showing of the room sent it
      if (find(`#m-${id}`)) { live.settle(id); continue; }
      if (find(`#p-${id}`)) continue;
      showPending(id, w.body, w.time, w.files, w.reply);
    }
    for (const [id, w] of live.waitingIn(room)) if (w.failed) failed(id, w.failed);
    arrange();
    log.scrollTop = place;
    past.ends();
    showJump();
    showBar();
    mark();
    const again = shownBefore;
    shownBefore = true;
    if (past.arrived()) return;
    if (!again) restorePlace();
    // Where there is a keyboard one may type at once; on a touch screen that would bring up another keyboard.
    if (body && !location.hash && matchMedia("(min-width: 640px) and (hover: hover) and (pointer: fine)").matches) {
      body.focus({ preventScroll: true });
    }
  }
  root.addEventListener("keydown", (e) => { if (e.key === "Escape" && (newLine || keepUnread) && !e.defaultPrevented) allRead(); });
  return view;
}

Room.localise = (article) => { // has a message say its time, and mark the names in it, as is the reader's; once
  const stamp = article.querySelector("time"), time = new Date(article.dataset.time);
  if (stamp.title) return;
  stamp.textContent = Room.clock.format(time);
  stamp.title = Room.exact.format(time);
  Room.callsReader(article);
};
Room.callsReader = (article) => { // marks the names in it that are the reader's
  const names = [document.body.dataset.name.toLowerCase(), "everyone", "here"];
  let calls = false;
  for (const name of article.querySelectorAll(".at")) calls = name.classList.toggle("mine", names.includes(name.dataset.name.toLowerCase())) || calls;
  article.classList.toggle("calls", calls);
};
Room.pending = (id, text, files) => { // a message of the reader's that is on its way
  const article = document.getElementById("own").content.firstElementChild.cloneNode(true);
  article.id = id;
  article.dataset.seq = "";
  article.classList.add("pending");
  article.querySelector(".body").textContent = text;
  if (files.length) article.querySelector(".said").append(Object.assign(document.createElement("p"), { className: "hint", textContent: files.map((f) => f.name).join(", ") }));
  return article;
};
Room.failed = (article, id, why, edit) => { // says in such a one why it was not sent
  article.classList.replace("pending", "failed");
  article.querySelector(".fate")?.remove();
  const fate = document.createElement("p");
  fate.className = "fate";
  fate.setAttribute("role", "alert");
  fate.append(`Not sent. ${why}`);
  const button = (label, act) => {
    const b = document.createElement("button");
    b.type = "button";
    b.textContent = label;
    b.addEventListener("click", act);
    fate.append(b);
  };
  button("Try again", () => {
    article.classList.replace("failed", "pending");
    fate.remove();
    live.again(id);
  });
  if (edit) button("Edit", edit);
  article.querySelector(".said").append(fate);
};
Room.clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
Room.dayName = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long", year: "numeric" });
Room.exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
Room.groupWithin = 5 * 60 * 1000;
Room.dayOf = (time) => {
  const today = new Date(), yesterday = new Date();
  yesterday.setDate(today.getDate() - 1);
  if (time.toDateString() === today.toDateString()) return "Today";
  if (time.toDateString() === yesterday.toDateString()) return "Yesterday";
  return Room.dayName.format(time);
};
