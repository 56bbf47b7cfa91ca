// Runs in the page itself, once somebody asks for the accounts of a wallet extension.
export { web3Accounts, web3Enable, web3FromSource } from "@polkadot/extension-dapp";
