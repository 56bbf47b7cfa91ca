// Names for the accounts in blocks, which hold public keys.

import { short } from "/ui/accounts.js";
import * as keys from "/ui/keys.js";
import { toHex } from "/ui/scale.js";

const MOST = 5_000;

export class Names {
  constructor(accounts) {
    this.accounts = accounts;
    this.addresses = new Map();
  }

  /** Learn the addresses of these public keys. */
  async learn(publicKeys) {
    const unknown = new Map(publicKeys.map((key) => [toHex(key), key]).filter(([hex]) => !this.addresses.has(hex)));
    if (unknown.size === 0) {
      return;
    }
    if (this.addresses.size > MOST) {
      this.addresses.clear();
    }
    const found = await keys.addresses([...unknown.values()]);
    [...unknown.keys()].forEach((hex, index) => this.addresses.set(hex, found[index]));
  }

  ofKey(publicKey) {
    const hex = toHex(publicKey);
    const address = this.addresses.get(hex);
    return address === undefined ? short(hex) : this.accounts.nameOf(address);
  }

  ofAddress(address) {
    return this.accounts.nameOf(address);
  }
}
