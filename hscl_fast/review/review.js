"use strict";
(() => {
  const element = (id) => document.getElementById(id);
  const { key, images } = JSON.parse(element("data").textContent);
  const KEY = `hscl-review:${key}`;
  const WORDS = ["normal", "abnormal", "skip"];
  const SYMBOLS = { normal: "✓", abnormal: "✗", skip: "–" };
  const SHOWN_AS = { normal: "normal", abnormal: "abnormal", skip: "skipped" };

  // What was judged, by path, in the order of judging, and what each step of undo brings back: [path, word or null].
  let judged = new Map();
  let undos = [];
  let filter = "all";
  let at = 0; // the place in images of the one that is shown; -1: none fits the filter

  function load() {
    try {
      const saved = JSON.parse(localStorage.getItem(KEY) ?? "{}");
      const pairs = (list, words) =>
        Array.isArray(list)
          ? list.filter((pair) => Array.isArray(pair) && typeof pair[0] === "string" && words.includes(pair[1]))
          : [];
      judged = new Map(pairs(saved.judged, WORDS));
      undos = pairs(saved.undos, [...WORDS, null]);
    } catch {
      // Nothing is kept, or what was kept is not readable.
    }
  }

  function save() {
    try {
      localStorage.setItem(KEY, JSON.stringify({ judged: [...judged], undos }));
      return true;
    } catch {
      return false;
    }
  }

  let isKept = true;
  function keep() {
    isKept = save();
    element("not-kept").hidden = isKept;
  }

  const fits = (image) => {
    const word = judged.get(image.path);
    if (filter === "all") return true;
    return filter === (word === undefined ? "unjudged" : SHOWN_AS[word]);
  };
  const after = (place) => images.findIndex((image, index) => index > place && fits(image));
  const before = (place) => images.findLastIndex((image, index) => index < place && fits(image));
  const nearest = (place) => (after(place) >= 0 ? after(place) : before(place));

  function judge(word) {
    if (at < 0) return;
    const { path } = images[at];
    undos.push([path, judged.get(path) ?? null]);
    judged.set(path, word);
    keep();
    const next = after(at);
    if (next >= 0) at = next;
    else if (!fits(images[at])) at = before(at);
    show(`judged ${SHOWN_AS[word]}`);
  }

  function undo() {
    const step = undos.pop();
    if (step === undefined) return;
    const [path, word] = step;
    if (word === null) judged.delete(path);
    else judged.set(path, word);
    keep();
    const place = images.findIndex((image) => image.path === path);
    if (place >= 0) {
      at = place;
      if (!fits(images[at])) filter = "all";
    }
    show("undone");
  }

  function move(to) {
    if (to < 0) return;
    at = to;
    show();
  }

  function choose(name) {
    filter = name;
    if (at < 0 || !fits(images[at])) at = nearest(at);
    show(`showing ${name}`);
  }

  // Control characters as their pictures, so that a name is on one line.
  const visible = (text) =>
    text.replace(/[\u0000-\u001f]/g, (letter) => String.fromCharCode(0x2400 + letter.charCodeAt(0)));

  const thumbs = images.map((image, place) => {
    const button = document.createElement("button");
    button.type = "button";
    if (image.uri) {
      const picture = document.createElement("img");
      picture.src = image.uri;
      picture.alt = "";
      picture.loading = "lazy";
      button.append(picture);
    }
    button.append(document.createElement("b"));
    button.addEventListener("click", () => {
      if (!fits(image)) filter = "all";
      move(place);
      element("figure").scrollIntoView({ block: "nearest" });
    });
    element("thumbs").append(button);
    return button;
  });

  function showThumbs() {
    thumbs.forEach((button, place) => {
      const word = judged.get(images[place].path);
      button.dataset.judged = word ?? "";
      button.setAttribute("aria-current", String(place === at));
      button.setAttribute("aria-label", `image ${place + 1}, ${word ? SHOWN_AS[word] : "unjudged"}`);
      button.lastElementChild.textContent = word ? SYMBOLS[word] : "";
      button.hidden = !fits(images[place]);
    });
  }

  function showCounts() {
    const here = { all: images.length, unjudged: 0, normal: 0, abnormal: 0, skipped: 0 };
    for (const image of images) here[SHOWN_AS[judged.get(image.path)] ?? "unjudged"] += 1;
    const done = images.length - here.unjudged;
    const elsewhere = judged.size - done;
    element("bar").max = images.length;
    element("bar").value = done;
    element("counts").textContent =
      `${done} of ${images.length} judged: ${here.normal} normal, ${here.abnormal} abnormal, ${here.skipped} skipped` +
      (elsewhere ? `; ${elsewhere} more on other pages of this run` : "");
    for (const button of document.querySelectorAll("[data-filter]")) {
      button.setAttribute("aria-pressed", String(button.dataset.filter === filter));
      button.lastElementChild.textContent = here[button.dataset.filter];
    }
    const rows = labels().length;
    element("download").disabled = rows === 0;
    element("download").textContent = `Download labels.csv (${rows})`;
  }

  function show(said = "") {
    const image = images[at];
    const word = image && judged.get(image.path);
    const picture = element("picture");
    picture.hidden = !image?.uri;
    if (image?.uri) {
      picture.src = image.uri;
      picture.alt = `image ${at + 1}: ${visible(image.path)}`;
    }
    element("problem").hidden = Boolean(image?.uri);
    element("problem").textContent = image ? `no picture: ${image.problem}` : `No image here is ${filter}.`;
    element("figure").dataset.judged = word ?? "";
    element("place").textContent = image ? `${at + 1} of ${images.length}` : "";
    element("name").textContent = image ? visible(image.path) : "";
    element("facts").textContent = image
      ? `suspect ${image.rank}, anomaly score ${image.score.toPrecision(4)}` +
        (image.uri ? `, shown at ${image.width}×${image.height} px` : "")
      : "";
    for (const button of document.querySelectorAll("[data-judge]")) {
      button.disabled = !image;
      button.setAttribute("aria-pressed", String(button.dataset.judge === word));
    }
    element("back").disabled = before(at) < 0;
    element("next").disabled = after(at) < 0;
    element("undo").disabled = undos.length === 0;
    showThumbs();
    showCounts();
    const now = image ? `image ${at + 1} of ${images.length}, ${word ? SHOWN_AS[word] : "unjudged"}` : "no image";
    element("said").textContent = said ? `${said}; ${now}` : now;
  }

  // The images in the order of the page, then those that other pages of this run have.
  function labels() {
    const order = new Map(images.map((image, place) => [image.path, place]));
    const place = ([path]) => order.get(path) ?? images.length;
    return [...judged].filter(([, word]) => word !== "skip").sort((one, other) => place(one) - place(other));
  }

  const cell = (text) => (/[",;\t\r\n]|^\s|\s$|^$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

  function download() {
    const lines = [["path", "label"], ...labels()].map((row) => `${row.map(cell).join(",")}\r\n`);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(lines, { type: "text/csv" }));
    link.download = "labels.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }

  document.addEventListener("keydown", (event) => {
    const name = event.key.toLowerCase();
    if (name === "z" && (event.ctrlKey || event.metaKey) && !event.shiftKey) undo();
    else if (event.ctrlKey || event.metaKey || event.altKey) return;
    else if (["1", "2", "3"].includes(name)) event.repeat || judge(WORDS[Number(name) - 1]);
    else if (name === "u") undo();
    else if (name === "arrowleft") move(before(at));
    else if (name === "arrowright") move(after(at));
    else return;
    event.preventDefault();
  });
  for (const button of document.querySelectorAll("[data-judge]"))
    button.addEventListener("click", () => judge(button.dataset.judge));
  for (const button of document.querySelectorAll("[data-filter]"))
    button.addEventListener("click", () => choose(button.dataset.filter));
  element("back").addEventListener("click", () => move(before(at)));
  element("next").addEventListener("click", () => move(after(at)));
  element("undo").addEventListener("click", undo);
  element("download").addEventListener("click", download);
  addEventListener("storage", (event) => {
    if (event.key !== KEY) return;
    load(); // another tab has judged
    show();
  });
  addEventListener("beforeunload", (event) => {
    if (!isKept && judged.size) event.preventDefault();
  });

  load();
  keep();
  const first = images.findIndex((image) => !judged.has(image.path));
  at = Math.max(first, 0); // where the last visit ended
  show();
})();
