// The dialog in which one chooses, makes, restores, exports and removes accounts.

import { hue, short } from "/ui/accounts.js";
import { freshId, h, say, show } from "/ui/dom.js";
import { warmUp } from "/ui/keys.js";
import { t } from "/ui/texts.js";

/** A round mark with an account's first letter in its own colour. */
export function mark({ name, address }) {
  const element = h("span", { class: "mark", "aria-hidden": "true" }, [...name][0].toUpperCase());
  element.style.setProperty("--hue", hue(address));
  return element;
}

export class AccountDialog {
  constructor(accounts) {
    this.accounts = accounts;
    this.body = h("div", { class: "account-body" });
    this.element = h(
      "dialog",
      {
        class: "drawer accounts",
        "aria-labelledby": "account-heading",
        on: { click: (event) => event.target === this.element && this.close(), close: () => show(this.body) },
      },
      h(
        "div",
        { class: "drawer-body" },
        h(
          "div",
          { class: "drawer-head" },
          h("h2", { id: "account-heading" }, t.account.heading),
          h(
            "button",
            { type: "button", class: "icon-button", "aria-label": t.account.close, on: { click: () => this.close() } },
            "\u00d7",
          ),
        ),
        this.body,
      ),
    );
  }

  open() {
    warmUp();
    this.list();
    this.element.showModal();
    this.body.querySelector("[aria-pressed=true]")?.focus();
  }

  close() {
    this.element.close();
  }

  /** All accounts, and the ways to more. */
  list() {
    const { development, kept, wallet, storageFailed } = this.accounts;
    const walletNote = h("p", { class: "note", role: "status" }, t.account.walletNote);
    show(
      this.body,
      h("p", { class: "note" }, t.account.intro),
      this.group(t.account.local, t.account.localNote, kept, true),
      storageFailed ? h("p", { class: "warning" }, t.account.noStorage) : null,
      h(
        "div",
        { class: "buttons" },
        h("button", { type: "button", class: "primary", on: { click: () => this.make() } }, t.account.make),
        h("button", { type: "button", on: { click: () => this.restore() } }, t.account.restore),
      ),
      development.length > 0 ? this.group(t.account.dev, t.account.devNote, development, false) : null,
      h(
        "section",
        {},
        h("h3", {}, t.account.wallet),
        walletNote,
        wallet.length > 0
          ? h(
              "ul",
              { class: "account-list" },
              wallet.map((account) => this.row(account, false)),
            )
          : h("button", { type: "button", on: { click: () => this.connect(walletNote) } }, t.account.connect),
      ),
    );
  }

  group(heading, note, accounts, isOwn) {
    return h(
      "section",
      {},
      h("h3", {}, heading),
      h("p", { class: "note" }, note),
      accounts.length > 0
        ? h(
            "ul",
            { class: "account-list" },
            accounts.map((account) => this.row(account, isOwn)),
          )
        : null,
    );
  }

  row(account, isOwn) {
    const choose = h(
      "button",
      {
        type: "button",
        class: "account",
        "aria-pressed": String(account.address === this.accounts.current.address),
        on: {
          click: () => {
            this.accounts.choose(account);
            this.close();
          },
        },
      },
      mark(account),
      h("span", { class: "account-name" }, account.name),
      h("code", {}, short(account.address)),
    );
    return h("li", {}, choose, isOwn ? this.ownButtons(account) : null);
  }

  ownButtons(account) {
    const secret = h("p", { class: "phrase", hidden: true });
    const toggle = h(
      "button",
      { type: "button", class: "link", "aria-label": t.account.exportOf(account.name), "aria-expanded": "false" },
      t.account.export,
    );
    toggle.addEventListener("click", () => {
      secret.hidden = !secret.hidden;
      say(secret, secret.hidden ? "" : account.suri);
      say(toggle, secret.hidden ? t.account.export : t.account.hide);
      toggle.setAttribute(
        "aria-label",
        secret.hidden ? t.account.exportOf(account.name) : t.account.hideOf(account.name),
      );
      toggle.setAttribute("aria-expanded", String(!secret.hidden));
    });
    const remove = h(
      "button",
      {
        type: "button",
        class: "link danger",
        "aria-label": t.account.removeOf(account.name),
        on: { click: () => this.askToRemove(account) },
      },
      t.account.remove,
    );
    return h("div", { class: "own" }, toggle, remove, secret);
  }

  askToRemove(account) {
    show(
      this.body,
      h("p", {}, t.account.removeSure(account.name)),
      h(
        "div",
        { class: "buttons" },
        h(
          "button",
          {
            type: "button",
            class: "danger",
            on: {
              click: () => {
                this.accounts.remove(account);
                this.list();
              },
            },
          },
          t.account.removeDo,
        ),
        h("button", { type: "button", on: { click: () => this.list() } }, t.account.cancel),
      ),
    );
    this.body.querySelector("button").focus();
  }

  nameField() {
    const id = freshId("name");
    const input = h("input", {
      id,
      type: "text",
      value: t.account.defaultName(this.accounts.kept.length + 1),
      maxLength: 40,
      required: true,
      autocomplete: "off",
    });
    return { input, field: h("p", { class: "field" }, h("label", { for: id }, t.account.name), input) };
  }

  form(fields, action, work) {
    const trouble = h("p", { class: "warning", role: "alert" });
    const form = h(
      "form",
      {},
      fields,
      trouble,
      h(
        "div",
        { class: "buttons" },
        h("button", { type: "submit", class: "primary" }, action),
        h("button", { type: "button", on: { click: () => this.list() } }, t.account.cancel),
      ),
    );
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      say(trouble, (await work()) ?? "");
    });
    show(this.body, form);
    form.querySelector("input, textarea").focus();
  }

  make() {
    const { input, field } = this.nameField();
    this.form([field], t.account.create, async () => {
      const account = await this.accounts.create(input.value.trim());
      this.made(account);
    });
  }

  /** Show the phrase of a new account once. */
  made(account) {
    const done = h(
      "button",
      { type: "button", class: "primary", on: { click: () => this.close() } },
      t.account.written,
    );
    show(
      this.body,
      h("p", {}, t.account.made(account.name)),
      h("p", { class: "phrase" }, account.suri),
      h("p", { class: "note" }, t.account.localNote),
      h("div", { class: "buttons" }, done),
    );
    done.focus();
  }

  restore() {
    const { input, field } = this.nameField();
    const id = freshId("phrase");
    const phrase = h("textarea", {
      id,
      rows: 3,
      required: true,
      spellcheck: false,
      autocomplete: "off",
      "aria-describedby": `${id}-hint`,
    });
    phrase.setAttribute("autocapitalize", "none");
    const words = h(
      "p",
      { class: "field" },
      h("label", { for: id }, t.account.phrase),
      phrase,
      h("span", { class: "note", id: `${id}-hint` }, t.account.phraseHint),
    );
    this.form([words, field], t.account.restoreDo, async () => {
      try {
        if ((await this.accounts.restore(input.value.trim(), phrase.value)) === null) {
          return t.account.already;
        }
      } catch {
        return t.account.wrongPhrase;
      }
      this.close();
      return null;
    });
  }

  async connect(note) {
    say(note, t.account.connecting);
    const outcome = await this.accounts.connectWallet();
    if (outcome === "some") {
      this.list();
    } else {
      say(note, outcome === "none" ? t.account.noWallet : t.account.noWalletAccounts);
    }
  }
}
