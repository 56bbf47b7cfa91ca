// A map of the items: near means rated alike. It moves as the model learns.

import { guess } from "/ui/density.js";
import { h, mayMove, say } from "/ui/dom.js";
import { aligned, principal } from "/ui/pca.js";
import { fixed, t } from "/ui/texts.js";

const MOST_ITEMS = 400;
const FEWEST = 3;
const MOVE_MS = 900;
const PADDING = 34;
const MOST_STRETCH = 8;
const NEAR = 24;
// Of so many items titles avoid the dots too; on a denser map the most rated few stand above them.
const TITLES = 60;
const DENSE_TITLES = 14;
const COLOURS = ["low", "middle", "high", "ink", "line", "surface"];

export class ItemMap {
  constructor(chain, tastes, choose) {
    this.chain = chain;
    this.tastes = tastes;
    this.choose = choose;
    this.points = [];
    this.places = new Map();
    this.marked = null;
    this.canvas = h("canvas", { class: "map", tabIndex: 0, role: "img" });
    this.probe = h("span", { hidden: true });
    this.note = h("p", { class: "note" });
    this.tip = h("p", { class: "map-tip", "aria-live": "polite" });
    this.empty = h("p", { class: "empty" }, t.watch.mapEmpty);
    this.element = h(
      "section",
      { class: "panel map-panel", "aria-labelledby": "map-heading" },
      h("h2", { id: "map-heading" }, t.watch.map),
      this.note,
      h("div", { class: "map-frame" }, this.canvas, this.empty, this.tip),
      this.probe,
    );
    this.canvas.addEventListener("pointermove", (event) => this.point(event));
    this.canvas.addEventListener("pointerleave", () => this.hover(null));
    this.canvas.addEventListener("click", (event) => {
      this.point(event);
      this.pick();
    });
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.canvas.addEventListener("blur", () => this.hover(null));
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.readColours());
    document.addEventListener("theme", () => this.readColours());
  }

  begin() {
    say(this.note, t.watch.mapNote(this.tastes.account.name));
    this.readColours();
  }

  async refresh() {
    await this.chain.countAgain();
    const rated = this.chain.items.filter(({ ratings }) => ratings > 0).sort((a, b) => b.ratings - a.ratings);
    const items = rated.slice(0, MOST_ITEMS);
    this.empty.hidden = items.length >= FEWEST;
    if (items.length < FEWEST) {
      this.points = [];
      this.draw();
      return;
    }
    const { address, name } = this.tastes.account;
    const found = await this.chain.batch([
      ["mf_predictBatch", items.map(({ item }) => [address, item])],
      ...items.map(({ item }) => ["mf_item", item]),
    ]);
    const [batch, ...details] = found;
    if (found.some((one) => one instanceof Error)) {
      return;
    }
    const { positions, share } = principal(details.map(({ features }) => features.mean));
    const names = items.map(({ item }) => item);
    this.move(
      aligned(positions, names, this.places).map((place, index) => ({
        item: names[index],
        title: details[index].title,
        ratings: details[index].ratings,
        guess: guess(batch.mean[index], batch.std[index], this.chain.scale),
        to: place,
      })),
    );
    this.canvas.setAttribute("aria-label", t.watch.mapLabel(items.length));
    const few = rated.length > items.length ? ` ${t.watch.mapFew(items.length, rated.length)}` : "";
    say(this.note, `${t.watch.mapNote(name)} ${t.watch.explained(share)}${few}`);
  }

  move(points) {
    // Each direction is stretched to fill the map, but the weaker one not beyond what it has to say.
    const spans = [0, 1].map((axis) => Math.max(...points.map(({ to }) => Math.abs(to[axis])), 1e-9));
    const reach = spans.map((span) => Math.max(span, Math.max(...spans) / MOST_STRETCH));
    const before = new Map(this.points.map((point) => [point.item, point.at]));
    this.places = new Map(points.map(({ item, to }) => [item, to]));
    this.points = points.map(({ to: [x, y], ...point }) => {
      const to = [x / reach[0], y / reach[1]];
      return { ...point, to, from: before.get(point.item) ?? [0, 0], at: to };
    });
    cancelAnimationFrame(this.frame);
    if (!mayMove()) {
      this.draw();
      return;
    }
    const began = performance.now();
    const step = (now) => {
      const part = Math.min((now - began) / MOVE_MS, 1);
      const eased = 1 - (1 - part) ** 3;
      for (const point of this.points) {
        point.at = point.from.map((value, axis) => value + (point.to[axis] - value) * eased);
      }
      this.draw();
      if (part < 1) {
        this.frame = requestAnimationFrame(step);
      }
    };
    this.frame = requestAnimationFrame(step);
  }

  /** The theme's colours as numbers, which the canvas needs. */
  readColours() {
    if (!this.probe.isConnected) {
      return;
    }
    const read = (name) => {
      this.probe.style.color = `var(--${name})`;
      return getComputedStyle(this.probe)
        .color.match(/[\d.]+/g)
        .map(Number);
    };
    this.colours = Object.fromEntries(COLOURS.map((name) => [name, read(name)]));
    this.letters = 0.75 * Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
    this.draw();
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (width === 0 || this.colours === undefined) {
      return;
    }
    const ratio = devicePixelRatio;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const { colours } = this;
    if (this.points.length > 0) {
      this.drawAxes(context, width, height, colours.line);
    }
    const most = Math.max(...this.points.map(({ ratings }) => ratings), 1);
    for (const point of this.points) {
      point.x = width / 2 + point.at[0] * (width / 2 - PADDING);
      point.y = height / 2 - point.at[1] * (height / 2 - PADDING);
      point.radius = 3.5 + 6.5 * Math.sqrt(point.ratings / most);
      this.drawDot(context, point, colours);
    }
    this.drawTitles(context, width, colours);
  }

  drawAxes(context, width, height, line) {
    context.strokeStyle = css(line, 1);
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(width / 2, 8);
    context.lineTo(width / 2, height - 8);
    context.moveTo(8, height / 2);
    context.lineTo(width - 8, height / 2);
    context.stroke();
  }

  drawDot(context, point, colours) {
    const tone = this.chain.scale.toModel(point.guess.mean);
    const end = tone < 0 ? colours.low : colours.high;
    const share = Math.min(Math.abs(tone) * 1.8, 1);
    context.fillStyle = css(
      colours.middle.map((value, index) => value + (end[index] - value) * share),
      0.85,
    );
    context.beginPath();
    context.arc(point.x, point.y, point.radius, 0, 2 * Math.PI);
    context.fill();
    if (point.item === this.marked || point === this.hovered) {
      context.strokeStyle = css(colours.ink, 1);
      context.lineWidth = 2;
      context.beginPath();
      context.arc(point.x, point.y, point.radius + 3, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  /** Titles where there is room, of the most rated first. */
  drawTitles(context, width, colours) {
    context.font = `${this.letters}px system-ui, sans-serif`;
    context.lineJoin = "round";
    const isDense = this.points.length > TITLES;
    const dots = this.points.map(({ x, y, radius }) => [x - radius, y - radius, x + radius, y + radius]);
    const taken = isDense ? [] : [...dots];
    const chosen = this.points.filter((point) => point.item === this.marked || point === this.hovered);
    for (const point of [...chosen, ...this.points.slice(0, isDense ? DENSE_TITLES : TITLES)]) {
      const text = point.title.length > 28 ? `${point.title.slice(0, 27)}\u2026` : point.title;
      const size = context.measureText(text).width;
      const own = dots[this.points.indexOf(point)];
      const free = placesBeside(point, size).find(
        ([left, middle]) =>
          left > 2 &&
          left + size < width - 2 &&
          !taken.some((other) => other !== own && overlaps(boxOf(left, middle, size), other)),
      );
      const [left, middle] = free ?? (chosen.includes(point) ? placesBeside(point, size)[0] : []);
      if (left !== undefined) {
        taken.push(boxOf(left, middle, size));
        context.strokeStyle = css(colours.surface, 0.9);
        context.lineWidth = 3;
        context.strokeText(text, left, middle + 4);
        context.fillStyle = css(colours.ink, 1);
        context.fillText(text, left, middle + 4);
      }
    }
  }

  point({ offsetX, offsetY }) {
    let nearest = null;
    let distance = NEAR;
    for (const point of this.points) {
      const away = Math.hypot(point.x - offsetX, point.y - offsetY) - point.radius;
      if (away < distance) {
        [nearest, distance] = [point, away];
      }
    }
    this.hover(nearest);
  }

  hover(point) {
    if (point === this.hovered) {
      return;
    }
    this.hovered = point;
    const { scale } = this.chain;
    say(
      this.tip,
      point === null
        ? ""
        : `${point.title} \u00b7 ${t.watch.timelineRatings(point.ratings)} \u00b7 ${fixed(scale.shown(point.guess.mean))}`,
    );
    this.draw();
  }

  key(event) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step !== undefined && this.points.length > 0) {
      event.preventDefault();
      const index = this.points.indexOf(this.hovered);
      this.hover(this.points[(index + step + this.points.length) % this.points.length]);
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.pick();
    }
  }

  pick() {
    if (this.hovered) {
      this.mark(this.hovered.item);
      this.choose(this.hovered.item);
    }
  }

  /** Ring an item. */
  mark(item) {
    this.marked = item;
    this.draw();
  }
}

/** Where a title may stand, by its left end and middle: right of its dot, left, above, below. */
function placesBeside({ x, y, radius }, size) {
  return [
    [x + radius + 5, y],
    [x - radius - 5 - size, y],
    [x - size / 2, y - radius - 9],
    [x - size / 2, y + radius + 9],
  ];
}

function boxOf(left, middle, size) {
  return [left - 2, middle - 7, left + size + 2, middle + 7];
}

function css([red, green, blue], alpha) {
  return `rgb(${red} ${green} ${blue} / ${alpha})`;
}

function overlaps([left, top, right, bottom], [otherLeft, otherTop, otherRight, otherBottom]) {
  return left < otherRight && right > otherLeft && top < otherBottom && bottom > otherTop;
}
