// Runs in the page's signing worker.
export { Keyring } from "@polkadot/keyring";
export {
  blake2AsU8a,
  cryptoWaitReady,
  encodeAddress,
  keyExtractSuri,
  mnemonicGenerate,
  mnemonicValidate,
} from "@polkadot/util-crypto";
