// The ring of producers: who takes turns, whose turn it is, who is missing. Hidden where there is no ring.

import { h, s, say, show } from "/ui/dom.js";
import { t } from "/ui/texts.js";

const SIZE = 220;
const RADIUS = 78;
const MOST_NAMED = 12;

export class Ring {
  constructor(chain, names) {
    this.chain = chain;
    this.names = names;
    this.picture = s("svg", { class: "ring", viewBox: `0 0 ${SIZE} ${SIZE}`, role: "img" });
    this.turn = h("p", { class: "ring-turn" });
    this.list = h("ul", { class: "ring-list" });
    this.note = h("p", { class: "note" });
    this.element = h(
      "section",
      { class: "panel ring-panel", "aria-labelledby": "ring-heading", hidden: true },
      h("h2", { id: "ring-heading" }, t.watch.ring),
      h("div", { class: "ring-row" }, this.picture, h("div", {}, this.turn, this.list, this.note)),
    );
  }

  async refresh() {
    if (!this.chain.has("ring_status")) {
      this.element.hidden = true;
      return;
    }
    const status = await this.chain.call("ring_status");
    // A chain without a ring says so with an empty one.
    this.element.hidden = status.ring.length === 0;
    if (!this.element.hidden) {
      this.draw(status);
    }
  }

  draw({ ring: members, turn, slot, epoch, justified, finalized, queue, ...status }) {
    const voters = new Set(status.voters);
    const missed = new Map(Object.entries(status.missed));
    say(this.note, [t.watch.finality(epoch, justified.epoch, finalized.epoch), t.watch.queue(queue.length)].join(" "));
    const points = members.map((member, index) => {
      const angle = (2 * Math.PI * index) / members.length - Math.PI / 2;
      const isTurn = member === turn;
      const [x, y] = [SIZE / 2 + RADIUS * Math.cos(angle), SIZE / 2 + RADIUS * Math.sin(angle)];
      const classes = ["ring-dot", isTurn ? "turn" : "", (missed.get(member) ?? 0) > 0 ? "missing" : ""].join(" ");
      const dot = s("circle", { class: classes, cx: x, cy: y, r: isTurn ? 16 : members.length > MOST_NAMED ? 6 : 12 });
      if (members.length > MOST_NAMED) {
        return dot;
      }
      const letter = s(
        "text",
        { x, y: y + 4, "text-anchor": "middle", class: `ring-letter${isTurn ? " turn" : ""}` },
        this.names.ofAddress(member).slice(0, 1),
      );
      return s("g", {}, dot, letter);
    });
    this.picture.setAttribute("aria-label", t.watch.ringLabel(members.length));
    show(
      this.picture,
      s("circle", { class: "ring-line", cx: SIZE / 2, cy: SIZE / 2, r: RADIUS }),
      ...points,
      s(
        "text",
        { x: SIZE / 2, y: SIZE / 2 + 4, "text-anchor": "middle", class: "ring-slot" },
        slot === null ? "" : t.watch.slot(slot),
      ),
    );
    say(this.turn, turn === null ? "" : t.watch.turn(this.names.ofAddress(turn)));
    const shown = members.length > MOST_NAMED ? members.filter((one) => one === turn || missed.has(one)) : members;
    const rows = shown.slice(0, MOST_NAMED).map((member) => {
      const notes = [
        voters.has(member) ? t.watch.voter : null,
        missed.get(member) > 0 ? t.watch.missed(missed.get(member)) : null,
      ];
      return h(
        "li",
        { class: member === turn ? "turn" : "" },
        h("strong", {}, this.names.ofAddress(member)),
        h("span", { class: "note" }, notes.filter(Boolean).join(", ")),
      );
    });
    if (rows.map((row) => row.textContent).join() !== [...this.list.children].map((row) => row.textContent).join()) {
      show(this.list, rows);
    }
  }
}
