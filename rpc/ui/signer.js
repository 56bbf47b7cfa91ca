// The signing worker: keys exist here, and in the browser's own storage, and nowhere else.

import {
  Keyring,
  blake2AsU8a,
  cryptoWaitReady,
  encodeAddress,
  keyExtractSuri,
  mnemonicGenerate,
  mnemonicValidate,
} from "/ui/vendor/keys.js";

const LONGEST_PLAIN_PAYLOAD = 256;
const ED25519 = 0;
const WORDS = 12;
const SEED = /^0x[0-9a-f]{64}$/i;

const keyring = new Keyring({ type: "ed25519", ss58Format: 42 });

const actions = {
  create() {
    const suri = mnemonicGenerate(WORDS);
    return { suri, address: keyring.createFromUri(suri).address };
  },

  restore({ suri }) {
    check(suri);
    return keyring.createFromUri(suri).address;
  },

  /** The signature with the byte of its scheme before it. */
  sign({ suri, payload }) {
    const message = payload.length > LONGEST_PLAIN_PAYLOAD ? blake2AsU8a(payload) : payload;
    return Uint8Array.of(ED25519, ...keyring.createFromUri(suri).sign(message));
  },

  hash({ bytes }) {
    return blake2AsU8a(bytes);
  },

  addresses({ keys }) {
    return keys.map((key) => encodeAddress(key, 42));
  },
};

/** The library takes any short text for a seed; only a phrase, a seed in hex or a development path is meant here. */
function check(suri) {
  if (!suri.startsWith("//")) {
    const { phrase } = keyExtractSuri(suri);
    if (!SEED.test(phrase) && !mnemonicValidate(phrase)) {
      throw new Error("no secret phrase");
    }
  }
}

addEventListener("message", async ({ data: { id, action, ...given } }) => {
  try {
    await cryptoWaitReady();
    postMessage({ id, result: actions[action](given) });
  } catch (error) {
    postMessage({ id, error: error instanceof Error ? error.message : String(error) });
  }
});
