// The panel that tells of the selected value.

const DATA = JSON.parse(document.getElementById("data").textContent);

/** Time in words: `12.3 µs`. */
function duration(nanoseconds) {
  const [value, unit] = nanoseconds < 1e3 ? [nanoseconds, "ns"] : nanoseconds < 1e6 ? [nanoseconds / 1e3, "µs"] : [nanoseconds / 1e6, "ms"];
  return `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${unit}`;
}

function heading(text) {
  return make("h3", {}, text);
}

/** The chunks of a type: a strip as wide as they are, and a table. */
function irreps(type) {
  const strip = make("div", { class: "irreps", "aria-hidden": "true" });
  const table = make("table", { class: "chunks" });
  let offset = 0;
  for (const chunk of type.chunks) {
    const natural = chunk.parity === (chunk.l % 2 ? -1 : 1);
    const kind = `l${Math.min(chunk.l, 5)}${natural ? "" : " unnatural"}${chunk.zero ? " zero" : ""}`;
    const part = make("span", { class: kind, style: `flex: ${chunk.dim}`, title: chunk.text });
    if (chunk.dim / type.width > 0.16) part.append(chunk.text);
    strip.append(part);
    const name = make("td", {}, make("i", { class: `swatch ${kind}` }), chunk.text);
    const where = `${chunk.dim} wide, at ${offset}${chunk.zero ? ", known to be zero" : ""}`;
    table.append(make("tr", {}, name, make("td", {}, where)));
    offset += chunk.dim;
  }
  return [strip, table];
}

/** The cost of a value, and its share of its graph's. */
function costs(value, total) {
  if (!value.cost.nanoseconds) return [make("p", {}, "None: it is given, or another view of the same elements.")];
  const list = make("dl", { class: "costs" });
  const share = value.cost.nanoseconds / total.nanoseconds;
  for (const [name, text] of [
    ["operations", value.cost.flops],
    ["bytes", value.cost.bytes],
    [`estimate, sizes ${DATA.size.toLocaleString("en")}`, duration(value.cost.nanoseconds)],
    ["of the graph", `${(100 * share).toFixed(1)} %`],
  ]) list.append(make("dt", {}, name), make("dd", {}, text));
  return [list, make("div", { class: "share", "aria-hidden": "true" }, make("i", { style: `width: ${100 * share}%` }))];
}

/** The rules that made a value, first applied first. */
function rules(names) {
  const list = make("ol", { class: "rules" });
  for (const name of names) {
    const kind = DATA.rules[name] ? "keeps every bit" : "reorders sums";
    list.append(make("li", {}, make("code", {}, name), make("em", {}, kind)));
  }
  return list;
}

/** Buttons that select values of a view. */
function links(view, ids, select) {
  const list = make("div", { class: "links" });
  for (const id of ids) {
    const value = DATA.views[view].values[id];
    const button = make("button", { "data-view": view, "data-id": id }, `%${id} `, make("span", {}, `${value.op} ${value.layer}`));
    button.addEventListener("click", () => select(view, id));
    list.append(button);
  }
  return list;
}

/** Where a value comes from, or what becomes of it. */
function provenance(view, value, select) {
  if (view === "before") {
    if (value.becomes.length > 0) return [heading("After simplification"), links("after", value.becomes, select)];
    return [heading("After simplification"), make("p", {}, "No value of its own: it is folded into others, or nothing needs it.")];
  }
  const made = value.rules.length > 0 ? rules(value.rules) : make("p", {}, "None: it is as it was.");
  const parts = [heading("Made by the rules"), made];
  if (value.sources.length > 0) parts.push(heading("Equal before simplification"), links("before", value.sources, select));
  return parts;
}

function readersOf(view, id) {
  return DATA.views[view].values.flatMap((value, k) => (value.reads.includes(id) ? [k] : []));
}

/** Fills the panel; without a value, with what the page is. */
function showDetails(panel, view, id, select) {
  panel.scrollTop = 0;
  if (id === null) {
    panel.replaceChildren(
      make("h2", {}, DATA.name),
      make("p", { class: "lead" }, "Select a value to see its irreps, what it costs, the rules that made it, and its code."),
      heading("How to read the drawing"),
      make("p", {}, "Wires carry the types. The strip in a box is the value's irreps: a colour for every l, as wide as the chunk."),
      legend(),
      heading("What the rules did"),
      applied(),
      heading("Kernels"),
      table(DATA.kernels.map((kernel) => [kernel.name, `${kernel.size.toLocaleString("en")} bytes`])),
    );
    return;
  }
  const value = DATA.views[view].values[id];
  const parts = [
    make("h2", {}, make("span", { class: "id" }, `%${id}`), value.op),
    make("p", { class: "layer" }, ...(value.layer ? ["of layer ", make("b", {}, value.layer)] : ["given at every call"]), ...value.outputs.map((output) => `, returned as ${output}`)),
    make("p", { class: "type" }, value.type.text),
    ...irreps(value.type),
    heading("Cost"),
    ...costs(value, DATA.views[view].total),
    ...provenance(view, value, select),
  ];
  const readers = readersOf(view, id);
  if (value.reads.length > 0) parts.push(heading("Reads"), links(view, value.reads, select));
  if (readers.length > 0) parts.push(heading("Read by"), links(view, readers, select));
  parts.push(heading("In the text form"), make("pre", { class: "source" }, value.text));
  panel.replaceChildren(...parts);
}

/** A table of names and what there is to say of them. */
function table(rows) {
  const row = ([name, text]) => make("tr", {}, make("td", {}, name), make("td", {}, text));
  return make("table", { class: "chunks" }, ...rows.map(row));
}

/** How often every rule was applied. */
function applied() {
  if (DATA.applied.length === 0) return make("p", {}, "Nothing: the graph stays as it was.");
  return table(DATA.applied.map(([rule, times]) => [rule, times === 1 ? "once" : `${times} times`]));
}

/** The colours of the irreps that occur. */
function legend() {
  const seen = new Set(DATA.views.before.values.flatMap((value) => value.type.chunks.map((chunk) => chunk.l)));
  const table = make("table", { class: "chunks" });
  for (const l of [...seen].sort((a, b) => a - b)) {
    const names = ["scalars", "vectors"];
    const name = make("td", {}, make("i", { class: `swatch l${Math.min(l, 5)}` }), `l = ${l}`);
    table.append(make("tr", {}, name, make("td", {}, names[l] ?? `${2 * l + 1} components`)));
  }
  return table;
}
