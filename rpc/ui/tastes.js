// What one account has rated and what the chain expects of it, for the views that show either.

import { guess } from "/ui/density.js";
import { ignoreLoss } from "/ui/chain.js";
import { rateCall, registerCall, retractCall } from "/ui/extrinsics.js";
import { NotDone, send } from "/ui/send.js";
import { t } from "/ui/texts.js";
import { toast } from "/ui/toasts.js";

export class Tastes {
  constructor(chain, accounts, needAccount) {
    this.chain = chain;
    this.accounts = accounts;
    this.needAccount = needAccount;
    this.rated = new Map();
    this.guesses = new Map();
    this.pending = new Set();
    this.listeners = [];
  }

  onChange(listener) {
    this.listeners.push(listener);
  }

  changed() {
    for (const listener of this.listeners) {
      listener();
    }
  }

  get account() {
    return this.accounts.current;
  }

  /** Forget everything: another account was chosen. */
  reset() {
    this.rated = new Map();
    this.guesses = new Map();
    this.changed();
  }

  /** Read the account's ratings, and predictions for some items. Returns whether it is still that account. */
  async load(items) {
    const { address } = this.account;
    const [user, batch] = await this.chain.batch([
      ["mf_user", address],
      ["mf_predictBatch", items.map((item) => [address, item])],
    ]);
    if (address !== this.account.address) {
      return false;
    }
    if (!(user instanceof Error)) {
      this.rated = new Map(user.ratings.map(({ item, rating }) => [item, rating]));
    }
    if (batch instanceof Error) {
      ignoreLoss(batch);
    } else {
      items.forEach((item, index) => {
        this.guesses.set(item, guess(batch.mean[index], batch.std[index], this.chain.scale));
      });
    }
    this.changed();
    return true;
  }

  rate(item, title, rating) {
    return this.submit(item, t.send.rating(title, this.chain.scale.label(rating)), rateCall(item, rating));
  }

  retract(item, title) {
    return this.submit(item, t.send.retract(title), retractCall(item));
  }

  register(title) {
    return this.submit(null, t.send.register(title), registerCall(title));
  }

  /** Send a call and say how it goes. Resolves to whether it worked. */
  async submit(item, title, call) {
    const { account } = this;
    if (account.kind === "none") {
      this.needAccount();
      return false;
    }
    const key = `${account.address} ${item}`;
    if (item !== null && this.pending.has(key)) {
      return false;
    }
    this.pending.add(key);
    this.changed();
    const message = toast(title);
    try {
      const number = await send(this.chain, account, call, (words) => message.tell(words));
      message.done(t.send.inBlock(number));
      return true;
    } catch (error) {
      if (!(error instanceof NotDone)) {
        throw error;
      }
      message.failed(`${t.send.failed}. ${error.message}`);
      return false;
    } finally {
      this.pending.delete(key);
      this.changed();
    }
  }

  isPending(item) {
    return this.pending.has(`${this.account.address} ${item}`);
  }
}
