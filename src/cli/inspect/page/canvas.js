"use strict";
// Drawings: moving and scaling them, and what is marked in them.

/** The values at an end of a wire. */
function valuesAt(wire, end) {
  return wire.dataset[end].split(" ").map(Number);
}

/** An element with attributes, and children or text. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

class Canvas {
  constructor(figure) {
    this.figure = figure;
    this.key = figure.dataset.view;
    this.svg = figure.querySelector("svg");
    this.plane = this.svg.querySelector(".plane");
    this.width = Number(this.svg.dataset.width);
    this.height = Number(this.svg.dataset.height);
    this.glyphs = [...this.svg.querySelectorAll(".value")];
    this.wires = [...this.svg.querySelectorAll(".wire")];
    this.places = new Map(this.glyphs.map((glyph) => [glyph, this.placeOf(glyph)]));
    this.scale = 1;
    this.x = 0;
    this.y = 0;
    this.listen();
    for (const [sign, label, act] of [
      ["−", "Smaller", () => this.zoom(1 / 1.3)],
      ["+", "Larger", () => this.zoom(1.3)],
      ["⤢", "All of it", () => this.fit()],
    ]) {
      const button = make("button", { class: "plain", "aria-label": label, title: label }, sign);
      button.addEventListener("click", act);
      figure.querySelector(".zoom").append(button);
    }
  }

  placeOf(glyph) {
    const [, x, y] = glyph.getAttribute("transform").match(/\(([-\d.]+) ([-\d.]+)\)/);
    const box = glyph.querySelector(".box");
    const [width, height] = [Number(box.getAttribute("width")), Number(box.getAttribute("height"))];
    return { x: Number(x) + width / 2, y: Number(y) + height / 2, width, height };
  }

  /** The first glyph of a value that is not an output. */
  glyphOf(id) {
    return this.glyphs.find((glyph) => Number(glyph.dataset.value) === id && !glyph.classList.contains("output"));
  }

  move() {
    this.plane.setAttribute("transform", `translate(${this.x} ${this.y}) scale(${this.scale})`);
  }

  /** Scales about a point of the canvas, by default its middle. */
  zoom(by, at = { x: this.svg.clientWidth / 2, y: this.svg.clientHeight / 2 }) {
    const scale = Math.min(3, Math.max(0.08, this.scale * by));
    this.x = at.x - ((at.x - this.x) * scale) / this.scale;
    this.y = at.y - ((at.y - this.y) * scale) / this.scale;
    this.scale = scale;
    this.move();
  }

  /** Shows all of the drawing. */
  fit() {
    const [width, height] = [this.svg.clientWidth, this.svg.clientHeight];
    this.scale = Math.min(1.15, width / this.width, height / this.height);
    this.x = (width - this.width * this.scale) / 2;
    this.y = Math.max(0, (height - this.height * this.scale) / 2);
    this.move();
  }

  /** Shows the top of the drawing in a size that can be read. */
  open() {
    this.fit();
    if (this.scale < 0.7) {
      this.scale = Math.min(1, Math.max(0.7, (this.svg.clientWidth - 30) / this.width));
      this.x = (this.svg.clientWidth - this.width * this.scale) / 2;
      this.y = 12;
      this.move();
    }
  }

  /** Moves so that a glyph can be seen. */
  reveal(glyph) {
    const place = this.places.get(glyph);
    const [x, y] = [this.x + place.x * this.scale, this.y + place.y * this.scale];
    const [width, height] = [this.svg.clientWidth, this.svg.clientHeight];
    const margin = { x: width * 0.25, y: height * 0.2 };
    if (x < margin.x || x > width - margin.x) this.x += width / 2 - x;
    if (y < margin.y || y > height - margin.y) this.y += height / 2 - y;
    this.move();
  }

  listen() {
    let from = null;
    this.svg.addEventListener("wheel", (event) => {
      event.preventDefault();
      const box = this.svg.getBoundingClientRect();
      if (event.ctrlKey || event.metaKey) {
        this.zoom(Math.exp(-event.deltaY / 200), { x: event.clientX - box.left, y: event.clientY - box.top });
      } else {
        this.x -= event.deltaX;
        this.y -= event.deltaY;
        this.move();
      }
    }, { passive: false });
    this.svg.addEventListener("pointerdown", (event) => {
      from = { x: event.clientX - this.x, y: event.clientY - this.y, moved: false, id: event.pointerId };
    });
    this.svg.addEventListener("pointermove", (event) => {
      if (!from) return;
      const [x, y] = [event.clientX - from.x, event.clientY - from.y];
      if (!from.moved && Math.hypot(x - this.x, y - this.y) < 4) return;
      if (!from.moved) this.svg.setPointerCapture(from.id);
      from.moved = true;
      this.svg.classList.add("dragging");
      [this.x, this.y] = [x, y];
      this.move();
    });
    const release = () => {
      from = null;
      this.svg.classList.remove("dragging");
    };
    this.svg.addEventListener("pointerup", release);
    this.svg.addEventListener("pointercancel", release);
  }

  /** Marks a selected value, what it reads and what reads it, and the values that are the same in the other drawing. */
  mark(selected, near, same) {
    for (const glyph of this.glyphs) {
      const id = Number(glyph.dataset.value);
      glyph.classList.toggle("selected", id === selected);
      glyph.classList.toggle("near", near.includes(id));
      glyph.classList.toggle("same", same.includes(id));
      glyph.setAttribute("aria-pressed", String(id === selected));
    }
    for (const wire of this.wires) {
      wire.classList.toggle("reads", valuesAt(wire, "to").includes(selected) && !wire.dataset.output);
      wire.classList.toggle("read", valuesAt(wire, "from").includes(selected));
    }
  }

  /** Makes a glyph the one that the tab key reaches. */
  rove(glyph) {
    for (const other of this.glyphs) other.setAttribute("tabindex", other === glyph ? "0" : "-1");
  }

  /** The glyph that an arrow key leads to. */
  neighbour(glyph, key) {
    const from = this.places.get(glyph);
    const id = Number(glyph.dataset.value);
    const up = key === "ArrowUp";
    const [here, there] = up ? ["to", "from"] : ["from", "to"];
    const ends = new Set(this.wires.filter((wire) => valuesAt(wire, here).includes(id)).flatMap((wire) => valuesAt(wire, there)));
    const distance = (other) => {
      const place = this.places.get(other);
      const [dx, dy] = [place.x - from.x, place.y - from.y];
      switch (key) {
        case "ArrowUp": return dy < -1 && ends.has(Number(other.dataset.value)) ? Math.hypot(dx, dy) : Infinity;
        case "ArrowDown": return dy > 1 && ends.has(Number(other.dataset.value)) ? Math.hypot(dx, dy) : Infinity;
        case "ArrowLeft": return dx < -1 ? -dx + 4 * Math.abs(dy) : Infinity;
        default: return dx > 1 ? dx + 4 * Math.abs(dy) : Infinity;
      }
    };
    let best = null;
    for (const other of this.glyphs) {
      if (other !== glyph && distance(other) < (best ? distance(best) : Infinity)) best = other;
    }
    return best;
  }
}
