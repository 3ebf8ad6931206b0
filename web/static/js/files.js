// The files of the message that is being written, in the room or in a thread: chosen, pasted or dropped, uploaded at once, sent with
// the message.
"use strict";
// say tells what is wrong; send sends the message, also from a form that is not shown any more.
function Files(form, { say, send }) {
  const most = 10, atOnce = 2; // files of a message, uploads
  const list = form.querySelector(".attached"), chosen = form.querySelector(".attach input"), chip = form.querySelector("template.attachment");
  const limit = Number(form.dataset.fileLimit);
  const all = new Set(); // { file, item, sent: request, done: what the server found, why: what went wrong }
  let later = false;     // the message is to be sent when all is uploaded

  function size(n) { // as chat.Size
    if (n < 1000) return `${n} bytes`;
    const unit = n < 999_950 ? 0 : n < 999_950_000 ? 1 : 2, value = n / 1000 ** (unit + 1);
    return `${value >= 99.95 ? Math.round(value) : value.toFixed(1).replace(".0", "")} ${["kB", "MB", "GB"][unit]}`;
  }
  function show(a) {
    const { item } = a, bar = item.querySelector("progress"), under = item.querySelector("small");
    item.classList.toggle("failed", !!a.why);
    bar.hidden = !!(a.done || a.why);
    item.querySelector(".again").hidden = !a.why || a.why.final;
    if (a.why) under.setAttribute("role", "alert"); else under.removeAttribute("role");
    under.textContent = a.why ? a.why.text : a.done || !a.part ? size(a.file.size) : `${Math.floor(a.part * 100)} % of ${size(a.file.size)}`;
    if (a.part) bar.value = a.part; else bar.removeAttribute("value");
    if (!a.done || item.querySelector("input")) return;
    const id = document.createElement("input"); // for the plain form, where the message goes that way
    id.type = "hidden";
    id.name = "files";
    id.value = a.done.id;
    item.append(id);
    if (!a.done.width) return;
    const picture = new Image();
    picture.src = `/thumbnails/${a.done.id}`;
    picture.alt = "";
    item.querySelector(".what").replaceChildren(picture);
  }
  function hold(file, done) {
    const a = { file, done, item: chip.content.firstElementChild.cloneNode(true), part: 0, sent: null, why: null };
    a.item.querySelector(".name").textContent = file.name;
    a.item.querySelector(".remove").addEventListener("click", () => remove(a));
    a.item.querySelector(".remove").setAttribute("aria-label", `Remove ${file.name}`);
    a.item.querySelector(".again").addEventListener("click", () => {
      a.why = null;
      show(a);
      next();
      form.elements.body.focus();
    });
    if (file.size > limit) a.why = { text: `Too large: a file may have at most ${size(limit)}.`, final: true };
    all.add(a);
    list.append(a.item);
    show(a);
  }
  function add(files) {
    const left = most - all.size;
    for (const file of files.slice(0, left)) hold(file);
    if (files.length > left) say(`A message has at most ${most} files. Send the others in another one.`);
    form.elements.body.focus({ preventScroll: true });
    next();
  }
  function remove(a) { // also breaks off its upload, of which nothing is kept
    all.delete(a);
    a.item.remove();
    a.sent?.abort();
    if (a.done) fetch(`/files/${a.done.id}/discard`, { method: "POST" }).catch(() => {}); // else it is removed after a day
    form.elements.body.focus({ preventScroll: true });
    next();
  }
  function next() { // begins what may begin; when nothing is left, sends what waited for it
    const open = [...all].filter((a) => !a.done && !a.why), under = open.filter((a) => a.sent);
    for (const a of open.filter((b) => !b.sent).slice(0, atOnce - under.length)) upload(a);
    if (!later || open.length) return;
    wait(false);
    if ([...all].every((a) => a.done)) send();
  }
  const stay = (e) => e.preventDefault(); // who leaves the page is asked
  function upload(a) {
    const request = a.sent = new XMLHttpRequest(), data = new FormData();
    addEventListener("beforeunload", stay);
    data.append("file", a.file, a.file.name);
    const ended = (why) => {
      a.sent = null;
      if (![...all].some((b) => b.sent)) removeEventListener("beforeunload", stay);
      a.part = 0;
      a.why = why;
      if (!all.has(a)) return;
      show(a);
      next();
    };
    request.open("POST", `${form.action.replace(/\/messages$/, "")}/files`);
    request.setRequestHeader("HX-Request", "true"); // errors as text
    request.upload.addEventListener("progress", (e) => { if (e.lengthComputable) { a.part = e.loaded / e.total; show(a); } });
    request.addEventListener("load", () => {
      if (request.status !== 201) {
        const text = request.status === 401 ? "You are signed out. Sign in again." : request.getResponseHeader("Content-Type")?.startsWith("text/plain") && request.responseText.trim();
        ended({ text: text || "The server could not take it.", final: request.status === 413 || request.status === 403 });
        return;
      }
      a.done = JSON.parse(request.responseText);
      ended(null);
    });
    request.addEventListener("abort", () => ended(null));
    request.addEventListener("error", () => ended({ text: "The connection was lost." }));
    request.send(data);
    show(a);
  }
  function wait(whether) {
    later = whether;
    form.querySelector(".sends-later").hidden = !whether;
  }

  chosen.addEventListener("change", () => {
    add([...chosen.files]);
    chosen.value = "";
  });
  form.addEventListener("paste", (e) => {
    const { files, types } = e.clipboardData;
    // Office programs put a picture of the text beside the text.
    if (!files.length || types.includes("text/plain") && types.includes("text/html")) return;
    e.preventDefault();
    const stamp = new Date().toISOString().slice(0, 19).replace("T", " ").replaceAll(":", ".");
    add([...files].map((f) => f.name === "image.png" ? new File([f], `Pasted ${stamp}.png`, { type: f.type }) : f));
  });

  return {
    add,
    get some() { return all.size > 0; },
    // waits reports whether the message is to wait: until all is uploaded, or until what failed is removed.
    waits() {
      const failed = [...all].some((a) => a.why), open = [...all].some((a) => !a.done && !a.why);
      if (failed) say("A file could not be uploaded. Try again, or remove it.");
      else if (open) wait(true);
      return failed || open;
    },
    // take returns the files and forgets them: they are the message's.
    take() {
      const files = [...all].map((a) => a.done);
      list.replaceChildren();
      all.clear();
      return files;
    },
    // put takes back those of a message that was not sent.
    put(files) { for (const done of files) hold(done, done); },
  };
}
// What is dropped in a part of the room is its composer's; files() gives that one's, if there is any.
Files.drop = (part, files) => {
  const carries = (e) => e.dataTransfer?.types.includes("Files") && files();
  part.addEventListener("dragover", (e) => {
    if (!carries(e)) return;
    e.preventDefault();
    e.dataTransfer.dropEffect = "copy";
    part.classList.add("dropping");
  });
  part.addEventListener("dragleave", (e) => { if (!part.contains(e.relatedTarget)) part.classList.remove("dropping"); });
  part.addEventListener("drop", (e) => {
    part.classList.remove("dropping");
    if (!carries(e)) return;
    e.preventDefault();
    files().add([...e.dataTransfer.files]);
  });
};
