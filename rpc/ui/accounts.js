// Who the page speaks for: development accounts, accounts kept in this browser, accounts of a wallet.

import * as keys from "/ui/keys.js";

const KEPT = "mfchain.accounts";
const CURRENT = "mfchain.current";

/** The well-known accounts of development chains (ed25519); the tests derive them anew. */
export const DEVELOPMENT = [
  ["Alice", "5FA9nQDVg267DEd8m1ZypXLBnvN7SFxYwV7ndqSYGiN9TTpu"],
  ["Bob", "5GoNkf6WdbxCFnPdAnYYQyCjAKPJgLNxXwPjwTh6DGg6gN3E"],
  ["Charlie", "5DbKjhNLpqX3zqZdNBc9BGb4fHU1cRBaDhJUskrvkwfraDi6"],
  ["Dave", "5ECTwv6cZ5nJQPk6tWfaTrEk8YH2L7X1VT4EL5Tx2ikfFwb7"],
  ["Eve", "5Ck2miBfCe1JQ4cY3NDsXyBaD6EcsgiVmEFTWwqNSs25XDEq"],
  ["Ferdie", "5E2BmpVFzYGd386XRCZ76cDePMB3sfbZp5ZKGUsrG1m6gomN"],
].map(([name, address]) => ({ kind: "dev", name, address, suri: `//${name}` }));

/** Somebody without an account: reads, and is predicted as whoever never rated. */
const NOBODY = { kind: "none", name: "somebody new", address: `0x${"00".repeat(32)}` };

const OPEN_CHAINS = new Set(["Development", "Local"]);

export class Accounts {
  constructor() {
    this.listeners = [];
    this.kept = read(localStorage, KEPT) ?? [];
    this.wallet = [];
    this.development = [];
    this.current = NOBODY;
    this.storageFailed = false;
    // Another window made or removed an account.
    addEventListener("storage", ({ key }) => {
      if (key === KEPT) {
        this.kept = read(localStorage, KEPT) ?? [];
        this.changed();
      }
    });
  }

  onChange(listener) {
    this.listeners.push(listener);
  }

  changed() {
    for (const listener of this.listeners) {
      listener(this.current);
    }
  }

  get all() {
    return [...this.development, ...this.kept, ...this.wallet];
  }

  /** Offer what fits the chain and take up who was chosen last: in this window, else in this browser. */
  begin(chainType) {
    this.development = OPEN_CHAINS.has(chainType) ? DEVELOPMENT : [];
    const last = read(sessionStorage, CURRENT) ?? read(localStorage, CURRENT);
    this.current = this.all.find(({ address }) => address === last) ?? this.all[0] ?? NOBODY;
    this.changed();
  }

  choose(account) {
    this.current = account;
    write(sessionStorage, CURRENT, account.address);
    write(localStorage, CURRENT, account.address);
    this.changed();
  }

  /** Make an account and keep it. */
  async create(name) {
    const { suri, address } = await keys.create();
    return this.keep({ kind: "local", name, address, suri });
  }

  /** Keep the account of a phrase; null if it is here already. Rejects if it is no phrase. */
  async restore(name, phrase) {
    const suri = phrase.trim().replace(/\s+/g, " ");
    const address = await keys.restore(suri);
    if (this.all.some((account) => account.address === address)) {
      return null;
    }
    return this.keep({ kind: "local", name, address, suri });
  }

  keep(account) {
    this.kept = [...this.kept, account];
    this.storageFailed = !write(localStorage, KEPT, this.kept);
    this.choose(account);
    return account;
  }

  remove(account) {
    this.kept = this.kept.filter(({ address }) => address !== account.address);
    write(localStorage, KEPT, this.kept);
    if (this.current.address === account.address) {
      this.choose(this.all[0] ?? NOBODY);
    } else {
      this.changed();
    }
  }

  /** Ask wallet extensions for their accounts; "none" if there is no wallet, "empty" if it shares none. */
  async connectWallet() {
    const { web3Accounts, web3Enable } = await import("/ui/vendor/wallet.js");
    const wallets = await web3Enable("mfchain");
    if (wallets.length === 0) {
      return "none";
    }
    const found = await web3Accounts({ ss58Format: 42, accountType: ["ed25519", "sr25519"] });
    this.wallet = found.map(({ address, meta }) => ({
      kind: "wallet",
      name: meta.name ?? short(address),
      address,
      source: meta.source,
    }));
    this.changed();
    return found.length === 0 ? "empty" : "some";
  }

  /** The name of an address, or a short form of it. */
  nameOf(address) {
    return (
      [...DEVELOPMENT, ...this.kept, ...this.wallet].find((one) => one.address === address)?.name ?? short(address)
    );
  }
}

export function short(address) {
  return `${address.slice(0, 6)}\u2026${address.slice(-4)}`;
}

/** A hue for an account, the same everywhere. */
export function hue(address) {
  let sum = 7;
  for (const character of address) {
    sum = (sum * 31 + character.charCodeAt(0)) % 3_600;
  }
  return sum % 360;
}

function read(storage, key) {
  try {
    return JSON.parse(storage.getItem(key));
  } catch {
    return null;
  }
}

function write(storage, key, value) {
  try {
    storage.setItem(key, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}
