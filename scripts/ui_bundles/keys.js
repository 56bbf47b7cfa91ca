// Runs in the page's signing worker.
export { Keyring } from "@polkadot/keyring";
export { blake2AsU8a, cryptoWaitReady, decodeAddress, encodeAddress, mnemonicGenerate } from "@polkadot/util-crypto";
