"use strict";
// The page of documents; documents.py says what its data look like.
//
// Every document has a section with its heading from the start. Counts and texts come when it gets
// near the screen (IntersectionObserver), and the style sheet leaves out of layout what is far from
// it. Until then a section is as tall as its text will probably be, so the scrollbar tells the
// truth. Nothing of a document ever becomes HTML: all of it is text of nodes.

let data, documents, controls, list, tip;
let filter = {}; // What is chosen; null takes everything.
let shown = []; // Documents that the filter leaves,
let stops = []; // and their errors: {entry, error}.
let here = -1; // At which of the stops the reader is.
const narrow = matchMedia("(max-width: 48rem)");
const near = new IntersectionObserver(whenNear, { rootMargin: "100% 0px" });
const hits = globalThis.Highlight && new Highlight(); // Of the search; not in every browser.

addEventListener("DOMContentLoaded", () => {
  data = JSON.parse(document.querySelector("#data").textContent);
  [controls, list, tip] = [".bar", "main", "#tip"].map((one) => document.querySelector(one));
  documents = data.documents.map(opened);
  estimate();
  list.append(...documents.map(({ section }) => section));
  documents.forEach(({ section }) => near.observe(section));
  if (hits) CSS.highlights.set("hits", hits);
  listen();
  apply();
  foldAhead();
});

function make(tag, name, ...content) {
  const node = document.createElement(tag);
  if (name) node.className = name;
  node.append(...content);
  return node;
}

// --- Sections ----------------------------------------------------------------------------------

function opened([id, language, text, judged, marks, kinds], index) {
  const heading = make("h2", "", id);
  if (language) heading.append(" ", make("span", "language", language));
  const section = make("section", "", make("header", "", heading));
  section.id = id;
  const named = marks.map(([start, end, label, side, error, score]) => (
    { start, end, label, side: data.sides[side], error, score }
  ));
  section.entry = { id, language, text, judged, marks: named, kinds, index, section };
  return section.entry;
}

// How tall sections will be, at 0.47 em for a character and 2 em for a line.
function estimate() {
  const em = parseFloat(getComputedStyle(list).fontSize);
  const width = list.clientWidth / em;
  for (const { text, judged, section } of documents) {
    const column = judged && !narrow.matches ? width / 2 - 1.25 : Math.min(width, 52);
    const lines = (text.length * 0.47) / column + text.split("\n").length / 2;
    section.style.containIntrinsicBlockSize = `auto ${Math.round((lines * 2 + 6) * em)}px`;
  }
}

function whenNear(changes) {
  for (const { target, isIntersecting } of changes) {
    target.entry.near = isIntersecting;
    if (isIntersecting) fill(target.entry);
  }
}

function fill(entry) {
  if (entry.filled) return;
  entry.filled = true;
  const marks = marksLeft(entry);
  const texts = make("div", "texts");
  for (const [title, sides] of columns(entry)) {
    const own = marks.filter(({ side }) => sides.includes(side));
    const text = make("div", "text", marked(entry, own));
    text.lang = entry.language;
    texts.append(make("div", "", ...(title ? [make("h3", "", title)] : []), text));
  }
  entry.section.firstChild.append(counts(entry, marks));
  entry.section.append(texts);
  texts.querySelectorAll(".text").forEach(settleTags);
  highlight(entry);
}

function empty(entry) {
  if (!entry.filled) return;
  entry.filled = false;
  entry.section.lastChild.remove();
  entry.section.firstChild.lastChild.remove();
}

// Side by side where there is room; where there is not, one text with both layers.
function columns({ judged }) {
  if (!judged || narrow.matches) return [["", data.sides]];
  return [["Gold", ["right", "missing"]], ["Predicted", ["right", "wrong"]]];
}

function counts({ judged }, marks) {
  const line = make("p", "counts");
  for (const side of judged ? ["right", "wrong", "missing"] : ["found"]) {
    const count = marks.filter((mark) => mark.side === side).length;
    line.append(make(count ? "mark" : "span", count ? side : "", `${count} ${side}`), " ");
  }
  return line;
}

function redraw() {
  hideTip();
  for (const entry of documents) {
    empty(entry);
    if (entry.near && !entry.section.hidden) fill(entry);
  }
}

// --- Marks -------------------------------------------------------------------------------------

// The text, cut at every edge of a mark, each piece inside the elements of the marks that cover it.
// What two neighbours share stays open between them: nested marks are nested elements, and a mark
// that crosses the end of another one is continued after it.
function marked(entry, marks) {
  const whole = document.createDocumentFragment();
  const unit = unitsOf(entry.text);
  const edges = [...new Set([0, ...marks.flatMap(({ start, end }) => [start, end])])];
  edges.sort((a, b) => a - b);
  const begun = new Set(); // Marks, and errors by their numbers.
  let open = []; // From the outside in: {mark, node, under}.
  edges.forEach((from, place) => {
    const cover = marks.filter(({ start, end }) => start <= from && from < end);
    const shared = open.findIndex(({ mark }, depth) => mark !== cover[depth]);
    if (shared >= 0) open = open.slice(0, shared);
    const [first, tags] = [open.length, []];
    for (const mark of cover.slice(first)) {
      const node = markOf(entry, mark, begun, tags);
      (open.at(-1)?.node ?? whole).append(node);
      open.push({ mark, node, under: 0 });
    }
    if (tags.length) open[first].node.dataset.tag = [...new Set(tags)].join(", ");
    open.forEach((level, depth) => {
      level.under = Math.max(level.under, open.length - 1 - depth);
      if (level.under) level.node.style.setProperty("--under", level.under);
    });
    (open.at(-1)?.node ?? whole).append(entry.text.slice(unit(from), unit(edges[place + 1])));
  });
  return whole;
}

// Offsets count code points, strings of JavaScript UTF-16 units.
function unitsOf(text) {
  if (!/[\ud800-\udfff]/.test(text)) return (offset) => offset;
  const units = [0];
  for (const character of text) units.push(units.at(-1) + character.length);
  return (offset) => units[offset];
}

function markOf(entry, mark, begun, tags) {
  const node = make("mark", mark.side);
  const isError = mark.error >= 0;
  const kind = isError ? data.kinds[entry.kinds[mark.error]] : "";
  const isOther = isError && !isChosen("kind", kind);
  node.mark = mark;
  node.classList.toggle("other", isOther);
  node.classList.toggle("continued", begun.has(mark));
  node.tabIndex = isError && !begun.has(mark) ? 0 : -1;
  if (isError) node.dataset.error = mark.error;
  // One tag for an error in a text, and for each further label in it.
  const named = isError ? `${mark.error} ${mark.label}` : mark;
  const tag = begun.has(named) || data.labels.length < 2 ? [] : [data.tags[mark.label]];
  if (isError && !isOther && !begun.has(mark.error)) tag.push(kind);
  if (tag.length) tags.push(tag.join(" "));
  begun.add(mark).add(mark.error).add(named);
  return node;
}

// A tag that would stand out at the right is moved to the left, by measure of its letters.
function settleTags(text) {
  const right = text.getBoundingClientRect().right + 12;
  const tagged = [...text.querySelectorAll("[data-tag]")];
  const starts = tagged.map((node) => node.getClientRects()[0].left);
  tagged.forEach((node, place) => {
    const over = starts[place] + node.dataset.tag.length * 6.5 - right;
    if (over > 0) node.style.setProperty("--shift", `${-over}px`);
  });
}

// --- Filter ------------------------------------------------------------------------------------

const isChosen = (name, value) => filter[name] === null || filter[name] === value;

function apply() {
  const before = filter;
  const { kind, language, label, errors, words } = controls.elements;
  const choice = (select) => (!select || select.value === "*" ? null : select.value);
  filter = { kind: choice(kind), language: choice(language), label: choice(label) };
  filter.words = folded(words.value).trim();
  [shown, stops, here] = [[], [], -1];
  for (const entry of documents) {
    const left = errorsLeft(entry);
    const fits = (left.length || (filter.kind === null && !errors?.checked))
      && isChosen("language", entry.language)
      && (filter.label === null || marksLeft(entry).length)
      && (!filter.words || foldedOf(entry).includes(filter.words));
    entry.section.hidden = !fits;
    if (!fits) continue;
    shown.push(entry);
    stops.push(...left.map((error) => ({ entry, error })));
  }
  hits?.clear();
  if (filter.kind !== before.kind || filter.label !== before.label) redraw();
  else shown.forEach((entry) => entry.filled && highlight(entry));
  const top = list.getBoundingClientRect().top - controls.offsetHeight;
  if (top < 0) scrollBy(0, top);
  tell();
}

const marksLeft = ({ marks }) => marks.filter(({ label }) => isChosen("label", data.labels[label]));

// The errors of a document, by number, of the kind and label that are chosen.
function errorsLeft(entry) {
  const labelled = new Set(marksLeft(entry).map(({ error }) => error));
  return [...entry.kinds.keys()].filter(
    (error) => isChosen("kind", data.kinds[entry.kinds[error]]) && labelled.has(error),
  );
}

function tell() {
  const [count, place] = controls.querySelectorAll("output");
  const number = (value) => value.toLocaleString("en");
  count.value = `${number(shown.length)} of ${number(documents.length)} documents`;
  if (!place) return;
  const errors = stops.length === 1 ? "1 error" : `${number(stops.length)} errors`;
  place.value = here < 0 ? errors : `error ${number(here + 1)} of ${number(stops.length)}`;
}

// --- Search ------------------------------------------------------------------------------------

// Neither case nor diacritics nor the kind of white space count.
function folded(text) {
  return text.normalize("NFD").replace(/\p{M}+/gu, "").toLowerCase().replace(/\s+/g, " ");
}

function foldedOf(entry) {
  entry.folded ??= folded(`${entry.id} ${entry.text}`);
  return entry.folded;
}

// In short turns after the start, so that the first letter of a search finds all of them ready.
function foldAhead(next = 0) {
  const end = performance.now() + 8;
  while (next < documents.length && performance.now() < end) {
    foldedOf(documents[next]).includes("\n"); // The first question to a string is the slow one.
    next += 1;
  }
  if (next < documents.length) setTimeout(foldAhead, 16, next);
}

// Shows where the words of the search stand, without a change to the document.
function highlight(entry) {
  if (!hits || !filter.words || !foldedOf(entry).includes(filter.words)) return;
  let text = "";
  const places = []; // Of each character of the folded text, in the text as it is.
  let place = 0;
  for (const character of entry.text) {
    const plain = folded(character);
    if (plain !== " " || !text.endsWith(" ")) {
      text += plain;
      for (const _ of plain) places.push(place);
    }
    place += character.length;
  }
  places.push(place);
  for (const node of entry.section.querySelectorAll(".text")) {
    const leaves = leavesOf(node);
    for (let at = text.indexOf(filter.words); at >= 0; at = text.indexOf(filter.words, at + 1)) {
      const range = new Range();
      range.setStart(...leafAt(leaves, places[at]));
      range.setEnd(...leafAt(leaves, places[at + filter.words.length]));
      hits.add(range);
    }
  }
}

function leavesOf(node) {
  const walker = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
  const leaves = [];
  for (let start = 0; walker.nextNode(); start += walker.currentNode.length) {
    leaves.push([walker.currentNode, start]);
  }
  return leaves;
}

function leafAt(leaves, place) {
  const [leaf, start] = leaves.findLast(([, first]) => first <= place);
  return [leaf, place - start];
}

// --- From error to error -----------------------------------------------------------------------

function jump(step) {
  if (!stops.length) return;
  const from = here >= 0 && isOnScreen(nodesOf(stops[here])[0]) ? here : besideScreen(step);
  const next = (from + step + stops.length) % stops.length;
  const { entry } = stops[next];
  const place = shown.indexOf(entry);
  shown.slice(Math.max(0, place - 1), place + 2).forEach(fill);
  const [node] = nodesOf(stops[next]);
  node.focus({ preventScroll: true });
  centre(node);
  reach(next);
}

// Sections above that come near the screen by this take their real heights in the next frames.
function centre(node, frames = 10) {
  node.scrollIntoView({ block: "center" });
  if (frames) requestAnimationFrame(() => node.matches(".here") && centre(node, frames - 1));
}

function reach(stop) {
  list.querySelectorAll(".here").forEach((node) => node.classList.remove("here"));
  here = stop;
  const nodes = nodesOf(stops[here]);
  nodes.forEach((node) => node.classList.add("here"));
  explain(nodes[0]);
  tell();
}

function nodesOf({ entry, error }) {
  return [...entry.section.querySelectorAll(`[data-error="${error}"]`)];
}

const floor = () => controls.getBoundingClientRect().bottom;

function isOnScreen(node) {
  if (!node) return false;
  const { top, bottom } = node.getBoundingClientRect();
  return bottom > floor() && top < innerHeight;
}

// The stop from which one step leads to the first one below the upper edge of the screen, or to the
// last one above it.
function besideScreen(step) {
  const isBelow = (node) => !node || node.getBoundingClientRect().bottom > floor();
  const first = shown.find(({ section }) => isBelow(section));
  let next = stops.findIndex(({ entry }) => entry.index >= (first?.index ?? Infinity));
  if (next < 0) next = stops.length;
  while (stops[next]?.entry === first && !isBelow(nodesOf(stops[next])[0])) next += 1;
  return step > 0 ? next - 1 : next;
}

// --- What a mark is ----------------------------------------------------------------------------

function explain(node) {
  hideTip();
  const entry = node.closest("section").entry;
  const lines = new Map(); // By error, or by the mark that is none. The marks outside it too.
  for (let one = node; one; one = one.parentElement.closest("mark")) {
    const { mark } = one;
    if (mark.error < 0) lines.set(mark, mentionLines(entry, mark, mark.side));
    else lines.set(mark.error, errorLines(entry, mark.error));
  }
  tip.replaceChildren(...[...lines.values()].flat());
  relate(entry, node.mark);
  node.setAttribute("aria-describedby", "tip");
  tip.hidden = false;
  moveTip(node);
}

// Below the mark, or above it where the screen ends; on a phone the style sheet knows better.
function moveTip(node) {
  const { top, bottom } = node.getBoundingClientRect();
  const fits = bottom + 10 + tip.offsetHeight < innerHeight;
  const y = fits ? bottom + 10 : Math.max(top - tip.offsetHeight - 18, floor());
  const most = document.documentElement.clientWidth - tip.offsetWidth - 8;
  const x = Math.max(8, Math.min(node.getClientRects()[0].left, most));
  tip.style.setProperty("--left", `${x}px`);
  tip.style.setProperty("--top", `${y + scrollY}px`);
}

function errorLines(entry, error) {
  const kind = entry.kinds[error];
  const sides = { missing: "gold", wrong: "predicted" };
  const members = entry.marks.filter((mark) => mark.error === error);
  return [
    make("p", "kind", make("b", "", data.kinds[kind]), ` ${data.about[kind]}`),
    ...members.flatMap((mark) => mentionLines(entry, mark, sides[mark.side])),
  ];
}

function mentionLines({ text }, { start, end, label, side, score }, name) {
  const unit = unitsOf(text);
  const mention = text.slice(unit(start), unit(end));
  const facts = [data.labels[label], `${start}–${end}`];
  if (score !== undefined) facts.push(`score ${score.toFixed(3)}`);
  const isLong = mention.length > 90;
  const quoted = isLong ? `${mention.slice(0, 60)} … ${mention.slice(-25)}` : mention;
  return [
    make("p", "", make("mark", side, name), ` ${facts.join(" · ")}`),
    make("p", "mention", quoted),
  ];
}

// Lights up what belongs together in both columns.
function relate(entry, mark) {
  list.querySelectorAll(".same").forEach((node) => node.classList.remove("same"));
  for (const node of entry?.section.querySelectorAll(".text mark") ?? []) {
    const one = node.mark;
    node.classList.toggle("same", one === mark || (mark.error >= 0 && one.error === mark.error));
  }
}

function hideTip() {
  if (tip.hidden) return;
  tip.hidden = true;
  relate();
  document.querySelector("[aria-describedby]")?.removeAttribute("aria-describedby");
}

// --- Hands -------------------------------------------------------------------------------------

function listen() {
  const dialog = document.querySelector("dialog");
  const { words, previous, next, help, more } = controls.elements;
  const actions = { n: () => jump(1), p: () => jump(-1) };
  Object.assign(actions, { j: actions.n, k: actions.p });
  actions["/"] = () => words.focus();
  actions["?"] = () => dialog.showModal();
  previous?.addEventListener("click", actions.p);
  next?.addEventListener("click", actions.n);
  help.addEventListener("click", actions["?"]);
  more.addEventListener("click", () => {
    more.setAttribute("aria-expanded", controls.classList.toggle("open"));
  });
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || dialog.open) return;
    if (event.key === "Escape") leave(event);
    else if (actions[event.key] && !event.target.closest?.("select, [type=search]")) {
      event.preventDefault();
      actions[event.key]();
    }
  });
  listenToFilters(words);
  listenToMarks();
  listenToPaper();
}

function leave(event) {
  hideTip();
  if (event.target.name !== "words") return;
  event.preventDefault(); // Which would clear the search.
  event.target.blur();
}

function listenToFilters(words) {
  let typing;
  words.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(apply, 100);
  });
  controls.addEventListener("change", ({ target }) => {
    if (target === words) return;
    apply();
    // A list that was opened with the mouse would take the next key for a choice.
    if (!target.matches(":focus-visible")) target.blur();
  });
  controls.addEventListener("submit", (event) => {
    event.preventDefault();
    words.blur();
  });
}

function listenToMarks() {
  const markAt = (target) => target.closest?.(".text mark");
  addEventListener("pointerover", ({ target }) => {
    const node = markAt(target) ?? markAt(document.activeElement);
    if (node) explain(node);
    else hideTip();
  });
  addEventListener("focusin", ({ target }) => {
    const node = markAt(target);
    if (!node) return;
    const { entry } = node.closest("section");
    const stop = stops.findIndex((one) => one.entry === entry && one.error === node.mark.error);
    if (stop >= 0) reach(stop);
    else explain(node);
  });
  addEventListener("focusout", hideTip);
}

function listenToPaper() {
  narrow.addEventListener("change", () => {
    estimate();
    redraw();
  });
  addEventListener("beforeprint", () => shown.forEach(fill));
  addEventListener("afterprint", () => documents.forEach((entry) => entry.near || empty(entry)));
}
