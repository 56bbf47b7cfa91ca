// Puts the page together: the bar, the views, and what happens when the node goes away.

import { AccountDialog, mark } from "/ui/account-dialog.js";
import { Accounts } from "/ui/accounts.js";
import { Chain } from "/ui/chain.js";
import { h, say, show } from "/ui/dom.js";
import { RateView } from "/ui/rate.js";
import { Tastes } from "/ui/tastes.js";
import { t } from "/ui/texts.js";
import { toast } from "/ui/toasts.js";
import { WatchView } from "/ui/watch.js";

const THEME = "mfchain.theme";
const OTHER_CHAIN = "mfchain.otherChain";

const byId = (id) => document.getElementById(id);

class Page {
  constructor() {
    this.accounts = new Accounts();
    this.chain = new Chain(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/`);
    this.dialog = new AccountDialog(this.accounts);
    this.tastes = new Tastes(this.chain, this.accounts, () => this.dialog.open());
    this.views = {
      rate: new RateView(this.chain, this.tastes, (item) => {
        location.hash = `#watch/${item}`;
      }),
      watch: new WatchView(this.chain, this.tastes, this.accounts, (item) => {
        location.hash = `#rate/${item}`;
      }),
    };
    this.view = null;
    this.wasLost = false;
    this.buildBar();
    this.listen();
    this.chain.connection.open();
  }

  buildBar() {
    say(byId("skip"), t.skip);
    this.chainName = h("span", { class: "chain-name" });
    this.links = Object.fromEntries(
      Object.keys(this.views).map((name) => [name, h("a", { href: `#${name}` }, t.view[name])]),
    );
    this.live = h("span", { class: "live", role: "img" });
    this.liveText = h("span", { class: "live-text" });
    this.accountButton = h("button", {
      type: "button",
      class: "account-button",
      title: t.account.choose,
      disabled: true, // until the chain has told whether it has development accounts
      on: { click: () => this.dialog.open() },
    });
    show(
      byId("bar"),
      h(
        "div",
        { class: "brand" },
        h("img", { src: "/ui/icon.svg", alt: "", width: 26, height: 26 }),
        h("strong", {}, t.brand),
        this.chainName,
      ),
      h("nav", { "aria-label": t.views }, Object.values(this.links)),
      h(
        "div",
        { class: "bar-end" },
        h("span", { class: "status" }, this.live, this.liveText),
        this.themeChoice(),
        this.accountButton,
      ),
    );
    document.body.append(this.dialog.element);
  }

  themeChoice() {
    const apply = (theme) => {
      document.documentElement.dataset.theme = theme;
      document.dispatchEvent(new Event("theme"));
    };
    const kept = stored(THEME) ?? "auto";
    apply(kept);
    const select = h("select", { class: "theme", "aria-label": t.theme.label, title: t.theme.label });
    for (const theme of ["auto", "light", "dark"]) {
      select.append(h("option", { value: theme, selected: theme === kept }, t.theme[theme]));
    }
    select.addEventListener("change", () => {
      store(THEME, select.value);
      apply(select.value);
    });
    return select;
  }

  listen() {
    const { chain } = this;
    chain.on("connection", (state) => this.drawConnection(state));
    chain.on("head", () => this.drawConnection(chain.connectionState));
    chain.on("facts", () => this.begin());
    chain.on("otherChain", () => {
      store(OTHER_CHAIN, "yes", sessionStorage);
      location.reload();
    });
    this.accounts.onChange(() => this.accountChanged());
    addEventListener("hashchange", () => this.route());
    setInterval(() => chain.connectionState.state === "waiting" && this.drawConnection(chain.connectionState), 1_000);
    if (stored(OTHER_CHAIN, sessionStorage) !== null) {
      sessionStorage.removeItem(OTHER_CHAIN);
      toast(t.brand).done(t.connection.otherChain);
    }
  }

  /** The chain has told what it is: at first, and after each reconnection. */
  begin() {
    say(this.chainName, this.chain.facts.name);
    if (this.view === null) {
      this.accounts.begin(this.chain.facts.type);
      this.accountButton.disabled = false;
      this.route();
    } else {
      this.views[this.view].shown();
    }
  }

  accountChanged() {
    const { current } = this.accounts;
    if (this.accountShown !== current.address) {
      this.accountShown = current.address;
      this.tastes.reset();
      this.views.rate.accountChanged();
      this.views.watch.accountChanged();
    }
    show(
      this.accountButton,
      mark(current),
      h("span", { class: "hidden-text" }, t.account.current),
      h("span", { class: "account-name" }, current.name),
    );
  }

  /** Show the view that the address names; `#rate/3` and `#watch/3` name an item too. */
  route() {
    if (this.chain.facts === null) {
      return;
    }
    const [, name, item] = /^#(rate|watch)(?:\/(\d+))?$/.exec(location.hash) ?? [null, "rate"];
    if (name !== this.view) {
      this.views[this.view]?.hidden();
      this.view = name;
      show(byId("main"), this.views[name].element);
      for (const [one, link] of Object.entries(this.links)) {
        if (one === name) {
          link.setAttribute("aria-current", "page");
        } else {
          link.removeAttribute("aria-current");
        }
      }
      scrollTo(0, 0);
      this.views[name].shown();
    }
    document.title = t.title(t.view[name], this.chain.facts.name);
    if (item !== undefined && Number(item) < Math.max(this.chain.model.items, 1)) {
      this.views[name].select(Number(item));
    }
  }

  drawConnection({ state, retryAt }) {
    const notice = byId("connection");
    this.live.dataset.state = state;
    this.live.setAttribute("aria-label", state === "open" ? t.connection.open : t.connection.connecting);
    say(this.liveText, state === "open" && this.chain.best !== null ? t.connection.live(this.chain.best) : "");
    if (state === "open") {
      if (this.wasLost) {
        this.wasLost = false;
        toast(t.brand).done(t.connection.back);
      }
      notice.hidden = true;
      return;
    }
    if (state === "waiting") {
      if (!this.wasLost) {
        this.wasLost = true;
        this.lostText = h("span");
        show(
          notice,
          this.lostText,
          h("button", { type: "button", on: { click: () => this.chain.connection.retryNow() } }, t.connection.retry),
        );
        this.findOutWhy();
      }
      notice.hidden = false;
      this.sayLost(Math.ceil((retryAt - Date.now()) / 1_000));
    }
  }

  sayLost(seconds) {
    if (this.isRefused) {
      say(this.lostText, t.connection.refused);
      return;
    }
    // A screen reader need not hear every second.
    const countdown = seconds > 0 ? t.connection.again(seconds) : t.connection.now;
    if (this.lostText.lastElementChild === null) {
      show(this.lostText, t.connection.lost, h("span", { "aria-hidden": "true" }, countdown));
    } else {
      say(this.lostText.lastElementChild, countdown);
    }
  }

  /** A node that answers but refuses the WebSocket does not know this page's address. */
  async findOutWhy() {
    this.isRefused = false;
    try {
      const alive = await fetch("/health");
      const asked = await fetch("/", { method: "POST", body: '{"jsonrpc":"2.0","id":1,"method":"system_chain"}' });
      this.isRefused = alive.ok && asked.status === 403;
    } catch {
      this.isRefused = false;
    }
  }
}

function stored(key, storage = localStorage) {
  try {
    return storage.getItem(key);
  } catch {
    return null;
  }
}

function store(key, value, storage = localStorage) {
  try {
    storage.setItem(key, value);
  } catch {
    // A private window keeps nothing; the choice holds until it closes.
  }
}

new Page();
