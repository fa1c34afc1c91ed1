// What is selected, which drawings are shown, search, keys and the theme.

const canvases = new Map([...document.querySelectorAll(".canvas")].map((figure) => [figure.dataset.view, new Canvas(figure)]));
const details = document.getElementById("details");
const listings = new Listings(document.querySelector(".listings"));
const search = document.getElementById("search");
const opened = new Set();
const state = { shown: "after", view: "after", id: null };

for (const [key, canvas] of canvases) {
  DATA.views[key].values.forEach((value, id) => {
    if (!value.backward) return;
    for (const glyph of canvas.glyphs) if (Number(glyph.dataset.value) === id) glyph.classList.add("backward");
  });
  canvas.rove(canvas.glyphs[0]);
}

/** The values of a view that are equal to a value of the other one. */
function counterparts(view, id) {
  const value = DATA.views[view].values[id];
  return view === "before" ? value.becomes : value.sources;
}

function other(view) {
  return view === "before" ? "after" : "before";
}

/** Shows one drawing or both. */
function show(which) {
  state.shown = which;
  for (const [key, canvas] of canvases) {
    canvas.figure.hidden = which !== "both" && which !== key;
    if (!canvas.figure.hidden && !opened.has(key)) {
      opened.add(key);
      canvas.open();
    }
  }
  for (const button of document.querySelectorAll("[data-show]")) {
    button.setAttribute("aria-checked", String(button.dataset.show === which));
    button.tabIndex = button.dataset.show === which ? 0 : -1;
  }
}

/** Shows one drawing or both; what is selected stays so under its counterpart's number. */
function turnTo(which) {
  show(which);
  if (which === "both" || state.id === null || state.view === which) return revealSelected();
  const [first] = counterparts(state.view, state.id);
  if (first !== undefined) select(which, first);
}

/** Moves the drawings so that what is selected can be seen, at the glyph that was chosen where there are several. */
function revealSelected(chosen = null) {
  for (const [key, canvas] of canvases) {
    if (canvas.figure.hidden || state.id === null) continue;
    const own = key === state.view;
    const id = own ? state.id : counterparts(state.view, state.id)[0];
    const glyph = (own && chosen) || (id === undefined ? null : canvas.glyphOf(id));
    if (glyph) canvas.reveal(glyph);
  }
}

/** The value whose code is shown for a selected one, or why there is none. */
function coded(view, id) {
  if (id === null) return [null, "The code of the selected value is shown here."];
  const value = DATA.views[view].values[id];
  const [after] = view === "after" ? [id] : value.becomes;
  if (after === undefined) return [null, "This value has no code of its own: simplification folded it into others."];
  return [after, value.cost.nanoseconds ? "Nothing computes this value: no output needs it." : "This value is given, not computed: it has no code."];
}

/** Selects a value, at one of its glyphs where that is known; without a value, lets go. */
function select(view, id, chosen = null) {
  [state.view, state.id] = [view, id];
  if (id !== null && state.shown !== "both" && state.shown !== view) show(view);
  for (const [key, canvas] of canvases) {
    const own = id !== null && key === view;
    const near = own ? [...DATA.views[key].values[id].reads, ...readersOf(key, id)] : [];
    const same = id !== null && !own ? counterparts(view, id) : [];
    canvas.mark(own ? id : null, near, same);
  }
  showDetails(details, view, id, (view, id) => select(view, id));
  document.querySelector("main").classList.toggle("idle", id === null);
  listings.show(...coded(view, id));
  history.replaceState(null, "", id === null ? "#" : `#${view}-${id}`);
  if (id === null) return;
  revealSelected(chosen);
  const glyph = chosen ?? canvases.get(view).glyphOf(id);
  if (glyph) canvases.get(view).rove(glyph);
  chosen?.focus({ preventScroll: true });
}

for (const [key, canvas] of canvases) {
  canvas.svg.addEventListener("click", (event) => {
    const glyph = event.target.closest(".value");
    if (glyph) select(key, Number(glyph.dataset.value), glyph);
  });
  canvas.svg.addEventListener("keydown", (event) => {
    const glyph = event.target.closest(".value");
    if (!glyph) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      select(key, Number(glyph.dataset.value), glyph);
    } else if (event.key.startsWith("Arrow")) {
      event.preventDefault();
      const next = canvas.neighbour(glyph, event.key);
      if (next) select(key, Number(next.dataset.value), next);
    }
  });
}

/** The glyphs of the shown drawings that hold what is searched for. */
function matches(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const found = [];
  for (const [key, canvas] of canvases) {
    for (const glyph of canvas.glyphs) {
      const label = glyph.getAttribute("aria-label").toLowerCase();
      const matched = words.length > 0 && words.every((word) => label.includes(word));
      glyph.classList.toggle("match", matched);
      if (matched && !canvas.figure.hidden) found.push([key, Number(glyph.dataset.value)]);
    }
    canvas.svg.classList.toggle("searching", words.length > 0);
  }
  return found;
}

search.addEventListener("input", () => {
  const found = matches(search.value);
  document.getElementById("found").textContent = search.value.trim() ? String(found.length) : "";
  if (found.length > 0) canvases.get(found[0][0]).reveal(canvases.get(found[0][0]).glyphs.find((glyph) => glyph.classList.contains("match")));
});
search.addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  const found = matches(search.value);
  const at = found.findIndex(([view, id]) => view === state.view && id === state.id);
  if (found.length > 0) select(...found[(at + 1) % found.length]);
});

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  try { localStorage.setItem("schur-theme", theme); } catch { /* A page of a file may have no storage. */ }
}
function turnTheme() {
  const dark = document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  setTheme(dark === "dark" ? "light" : "dark");
}
try {
  const theme = localStorage.getItem("schur-theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
} catch { /* As above. */ }
document.getElementById("theme").addEventListener("click", turnTheme);

const whole = document.getElementById("whole");
function turnWhole() {
  listings.whole = !listings.whole;
  whole.setAttribute("aria-pressed", String(listings.whole));
  if (listings.kernel) listings.fill();
}
whole.addEventListener("click", turnWhole);

const help = document.getElementById("help");
document.getElementById("help-open").addEventListener("click", () => help.showModal());

const views = ["before", "after", "both"];
for (const button of document.querySelectorAll("[data-show]")) {
  button.addEventListener("click", () => turnTo(button.dataset.show));
  button.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    turnTo(views[(views.indexOf(state.shown) + step + 3) % 3]);
    document.querySelector('[data-show][aria-checked="true"]').focus();
  });
}

document.addEventListener("keydown", (event) => {
  if (event.target.matches("input, dialog *") || event.ctrlKey || event.metaKey || event.altKey) {
    if (event.key === "Escape" && event.target === search) search.blur();
    return;
  }
  const shown = [...canvases.values()].filter((canvas) => !canvas.figure.hidden);
  const act = {
    "/": () => search.focus(),
    "+": () => shown.forEach((canvas) => canvas.zoom(1.3)),
    "-": () => shown.forEach((canvas) => canvas.zoom(1 / 1.3)),
    "0": () => shown.forEach((canvas) => canvas.fit()),
    b: () => turnTo(views[(views.indexOf(state.shown) + 1) % 3]),
    k: turnWhole,
    t: turnTheme,
    "?": () => help.showModal(),
    Escape: () => select(state.view, null),
  }[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

/** Lets the borders between the parts of the page be moved. */
for (const grip of document.querySelectorAll(".grip")) {
  const upright = grip.classList.contains("upright");
  const main = grip.parentElement;
  const part = upright ? details : document.querySelector(".listings");
  const size = () => (upright ? part.offsetWidth : part.offsetHeight);
  const set = (pixels) => {
    const most = (upright ? main.clientWidth : main.clientHeight) - 120;
    main.style.setProperty(upright ? "--details" : "--listings", `${Math.max(80, Math.min(most, pixels))}px`);
  };
  grip.addEventListener("pointerdown", (event) => {
    const [start, from] = [size(), upright ? event.clientX : event.clientY];
    grip.setPointerCapture(event.pointerId);
    grip.onpointermove = (event) => set(start + from - (upright ? event.clientX : event.clientY));
  });
  grip.addEventListener("pointerup", () => { grip.onpointermove = null; });
  grip.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: 24, ArrowUp: 24, ArrowRight: -24, ArrowDown: -24 }[event.key];
    if (step) set(size() + step);
  });
}

show("after");
const [, view, id] = location.hash.match(/^#(before|after)-(\d+)$/) ?? [];
if (view && Number(id) < DATA.views[view].values.length) select(view, Number(id));
else select("after", null);
