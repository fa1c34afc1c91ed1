// Loops, Cranelift IR and machine code side by side, linked line by line.
//
// Every line knows its statement, and machine code its line of Cranelift IR too. A line that is looked at marks its
// counterparts: "hot" is the same line, or the statement it is part of, "warm" what else is of that statement.

class Listings {
  constructor(section) {
    this.section = section;
    this.panes = new Map([...section.querySelectorAll(".listing")].map((pane) => [pane.dataset.listing, pane]));
    this.rows = [];
    this.held = null;
    this.whole = false;
    this.kernel = null;
    for (const pane of this.panes.values()) this.listen(pane.querySelector(".lines"));
  }

  /** Shows the code of a value of the simplified graph; of none, says why there is none. */
  show(id, reason) {
    const kernels = DATA.kernels;
    const kernel = id === null ? -1 : kernels.findIndex((kernel) => kernel.loops.some(([, value]) => value === id));
    this.value = id;
    this.kernel = kernel < 0 ? null : kernels[kernel];
    this.held = null;
    if (this.kernel) this.fill();
    else this.empty(reason);
  }

  empty(reason) {
    this.rows = [];
    for (const [name, pane] of this.panes) {
      pane.querySelector(".note").textContent = "";
      const text = name === "loops" ? [make("p", { class: "empty" }, reason)] : [];
      pane.querySelector(".lines").replaceChildren(...text);
    }
  }

  fill() {
    const { kernel, value } = this;
    // Statements that one micro-kernel does together have the code of the first.
    const code = new Set(kernel.loops.flatMap(([, of, statement]) => (of === value ? [statement] : [])));
    const clif = kernel.clif.map(([text, statement], k) => ({ text, statement, line: k, own: code.has(statement) }));
    const asm = kernel.asm.map(([text, line, statement]) => ({ text, statement, line, own: code.has(statement) }));
    const loops = kernel.loops.map(([text, of, statement]) => ({ text, statement, line: null, own: of === value }));
    this.rows = [];
    this.pane("loops", loops, kernel.head[0]);
    this.pane("clif", clif, kernel.name);
    this.pane("asm", asm, `${kernel.size.toLocaleString("en")} bytes`);
  }

  /** Fills a pane: the value's lines, or all with the others fainter. */
  pane(name, lines, note) {
    const pane = this.panes.get(name);
    const count = lines.filter((line) => line.own).length;
    pane.querySelector(".note").textContent = this.whole ? note : `${note} · ${count} of ${lines.length} lines`;
    const out = [];
    let hidden = 0;
    const fold = () => {
      if (hidden > 0) out.push(make("div", { class: "fold" }, hidden === 1 ? "1 more line" : `${hidden} more lines`));
      hidden = 0;
    };
    lines.forEach((line, k) => {
      if (!this.whole && !line.own) {
        hidden += 1;
        return;
      }
      fold();
      const other = line.own ? "" : " other";
      const row = make("div", { class: `line${other}`, role: "option", tabindex: "-1", "data-number": k + 1, "aria-selected": "false" }, coloured(name, line.text, this.kernel));
      this.rows.push({ row, pane: name, statement: line.statement, line: line.line });
      out.push(row);
    });
    fold();
    pane.querySelector(".lines").replaceChildren(...out);
    pane.querySelector(".line:not(.other)")?.setAttribute("tabindex", "0");
    const first = pane.querySelector(".line:not(.other)");
    if (this.whole && first) pane.querySelector(".lines").scrollTop = first.offsetTop - pane.querySelector(".lines").offsetTop - 40;
    else pane.querySelector(".lines").scrollTop = 0;
  }

  entry(element) {
    const row = element.closest?.(".line");
    return row ? this.rows.find((entry) => entry.row === row) : undefined;
  }

  /** Marks the counterparts of a line; of none, those of the line that is held. */
  mark(entry) {
    const at = entry ?? this.held;
    for (const other of this.rows) {
      const [hot, warm] = at ? related(at, other) : [false, false];
      other.row.classList.toggle("hot", hot);
      other.row.classList.toggle("warm", warm && !hot);
      other.row.classList.toggle("held", other === this.held);
      other.row.setAttribute("aria-selected", String(other === this.held));
    }
  }

  /** Holds the marks of a line, and shows the first counterpart in the other panes. */
  hold(entry) {
    this.held = this.held === entry ? null : entry;
    this.mark();
    for (const [name, pane] of this.panes) {
      if (!this.held || name === this.held.pane) continue;
      const first = pane.querySelector(".line.hot") ?? pane.querySelector(".line.warm");
      first?.scrollIntoView({ block: "center" });
    }
  }

  listen(lines) {
    lines.addEventListener("pointerover", (event) => this.mark(this.entry(event.target)));
    lines.addEventListener("pointerleave", () => this.mark());
    lines.addEventListener("focusin", (event) => this.mark(this.entry(event.target)));
    lines.addEventListener("focusout", () => this.mark());
    lines.addEventListener("click", (event) => {
      const entry = this.entry(event.target);
      if (entry) this.hold(entry);
    });
    lines.addEventListener("keydown", (event) => {
      const entry = this.entry(event.target);
      if (event.key === "Enter" && entry) this.hold(entry);
      if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
      const rows = [...lines.querySelectorAll(".line")];
      const at = rows.indexOf(event.target) + (event.key === "ArrowDown" ? 1 : -1);
      event.preventDefault();
      rows[Math.max(0, Math.min(rows.length - 1, at))]?.focus();
    });
  }
}

/** How a line is related to another: hot and warm. */
function related(a, b) {
  if (a === b) return [true, false];
  const warm = a.statement !== null && a.statement === b.statement;
  const sameLine = a.line !== null && a.line === b.line;
  return [warm && (sameLine || (b.pane === "loops" && a.pane !== "loops")), warm && (a.pane !== "loops" || b.pane !== "loops")];
}

const WORDS = {
  loops: /(?<op>\+=|max=|\bsum \w+:|\bfor\b|\bwhere\b)|(?<name>\b[mt]\d+\b)/g,
  clif: /(?<remark>;.*$)|(?<op>(?<== )[a-z_0-9.]+|(?<=^ {4})[a-z_0-9.]+)|(?<name>\bblock\d+\b)/g,
  asm: /(?<op>(?<=^ {4})[a-z0-9]+)|(?<name>\.[LC]\d+)/g,
};

/** What an array of the loops holds: `m2` in memory, `t0` of the tile. */
function arrayName(word, kernel) {
  const name = (word.startsWith("m") ? DATA.buffers : kernel.scratch)[Number(word.slice(1))];
  return name && `${word}: ${name}`;
}

/** A line of code with its words in colours; names of arrays tell what they hold. */
function coloured(pane, text, kernel) {
  const code = make("code");
  let at = 0;
  for (const match of text.matchAll(WORDS[pane])) {
    const kind = match.groups.remark ? "remark" : match.groups.op ? "op" : "name-of";
    code.append(text.slice(at, match.index), make("span", { class: kind, title: pane === "loops" && match.groups.name ? arrayName(match[0], kernel) : undefined }, match[0]));
    at = match.index + match[0].length;
  }
  code.append(text.slice(at));
  return code;
}
