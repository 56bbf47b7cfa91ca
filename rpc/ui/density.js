// A prediction as a picture: the density over the scale, its 90% interval and a needle at the mean.

import { mayMove, s } from "/ui/dom.js";
import { fixed, t } from "/ui/texts.js";

const WIDTH = 240;
const HEIGHT = 64;
const BASE = 56;
const PEAK = 50;
const MARGIN = 8;
const POINTS = 41;
const MOVE_MS = 450;
const Z90 = 1.6448536;

// A deviation of this share of the half scale fills the height; less certain ones are flatter.
const SHARP = 0.45;

/** Mean, deviation and interval in the chain's scale from the parts that RPC gives. */
export function guess(mean, std, scale) {
  const within = (value) => Math.min(Math.max(value, scale.min), scale.max);
  return { mean, std, low: within(mean - Z90 * std), high: within(mean + Z90 * std) };
}

/** The unclipped mean of a whole prediction. */
export function fullGuess({ mean, std, interval90: [low, high], raw }, scale) {
  return { mean: raw ? scale.fromModel(Number(raw.mean) / 2 ** raw.fractionalBits) : mean, std, low, high };
}

function clipped(value, scale) {
  return Math.min(Math.max(value, scale.min), scale.max);
}

/** In words: where the mean lies, and how far from the middle for its deviation. */
export function lean({ mean, std }, scale) {
  const z = (mean - scale.middle) / std;
  const degree = Math.abs(z) < 0.15 ? -1 : Math.abs(z) < 0.6 ? 0 : Math.abs(z) < 1.28 ? 1 : 2;
  if (degree < 0) {
    return t.guess.words.none;
  }
  const words = scale.isBinary ? [t.guess.words.dislike, t.guess.words.like] : [t.guess.words.down, t.guess.words.up];
  return words[z > 0 ? 1 : 0][degree];
}

/** Mean and bounds as text, in the numbers of the scale's labels. */
export function numbers({ mean, low, high }, scale) {
  return [clipped(mean, scale), low, high].map((value) => fixed(scale.shown(value)));
}

/** The picture. `update(guess, rated)` moves it; `tone` is where the mean lies in [-1, 1]. */
export class Gauge {
  constructor(scale, className = "gauge") {
    this.scale = scale;
    this.area = s("path", { class: "gauge-area" });
    this.line = s("path", { class: "gauge-line" });
    this.band = s("rect", { class: "gauge-band", y: BASE - 3, height: 6, rx: 3 });
    this.needle = s("g", { class: "gauge-needle" }, s("line", { y1: 5, y2: BASE }), s("circle", { cy: 5, r: 4 }));
    this.mine = s("path", { class: "gauge-mine", d: "M0 -9 l5 8 h-10 z", visibility: "hidden" });
    this.element = s(
      "svg",
      { class: className, viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-hidden": "true" },
      this.axis(),
      this.area,
      this.line,
      this.band,
      this.needle,
      this.mine,
    );
    this.shown = null;
    this.frame = null;
  }

  axis() {
    const marks =
      this.scale.values.length <= 11 ? this.scale.values : [this.scale.min, this.scale.middle, this.scale.max];
    return s(
      "g",
      { class: "gauge-axis" },
      s("line", { x1: MARGIN, x2: WIDTH - MARGIN, y1: BASE, y2: BASE }),
      ...marks.map((value) => s("line", { x1: this.x(value), x2: this.x(value), y1: BASE - 3, y2: BASE + 3 })),
    );
  }

  x(value) {
    const share = (value - this.scale.min) / (this.scale.max - this.scale.min);
    return MARGIN + share * (WIDTH - 2 * MARGIN);
  }

  update(guess, rated, label) {
    this.element.setAttribute("aria-label", label);
    this.element.removeAttribute("aria-hidden"); // before, it shows nothing
    this.mine.setAttribute("visibility", rated === null ? "hidden" : "visible");
    if (rated !== null) {
      this.mine.setAttribute("transform", `translate(${this.x(rated)} ${HEIGHT})`);
    }
    const from = this.shown;
    cancelAnimationFrame(this.frame);
    if (from === null || !mayMove() || document.hidden) {
      this.draw(guess);
      return;
    }
    if (from.mean === guess.mean && from.std === guess.std) {
      this.draw(guess);
      return;
    }
    const began = performance.now();
    const step = (now) => {
      const share = Math.min((now - began) / MOVE_MS, 1);
      const eased = 1 - (1 - share) ** 3;
      this.draw(
        Object.fromEntries(Object.keys(guess).map((name) => [name, from[name] + (guess[name] - from[name]) * eased])),
      );
      if (share < 1) {
        this.frame = requestAnimationFrame(step);
      }
    };
    this.frame = requestAnimationFrame(step);
  }

  draw(guess) {
    this.shown = guess;
    const { scale } = this;
    const mean = clipped(guess.mean, scale);
    const height = PEAK * Math.min(1, SHARP / (guess.std / scale.half)) ** 0.7;
    const points = [];
    for (let index = 0; index < POINTS; index += 1) {
      const value = scale.min + ((scale.max - scale.min) * index) / (POINTS - 1);
      const z = (value - guess.mean) / guess.std;
      points.push(`${this.x(value).toFixed(1)} ${(BASE - height * Math.exp(-0.5 * z * z)).toFixed(1)}`);
    }
    const curve = `M${points.join("L")}`;
    this.line.setAttribute("d", curve);
    this.area.setAttribute("d", `${curve}L${this.x(scale.max)} ${BASE}L${this.x(scale.min)} ${BASE}Z`);
    this.band.setAttribute("x", this.x(guess.low));
    this.band.setAttribute("width", Math.max(this.x(guess.high) - this.x(guess.low), 2));
    this.needle.setAttribute("transform", `translate(${this.x(mean).toFixed(2)} 0)`);
    this.element.style.setProperty("--tone", toneOf(mean, scale));
  }
}

/** The colour between the scale's ends. */
function toneOf(mean, scale) {
  const share = Math.round(Math.min(Math.abs(scale.toModel(mean)) * 1.8, 1) * 100);
  return `color-mix(in oklab, var(--${mean < scale.middle ? "low" : "high"}) ${share}%, var(--middle))`;
}
