// Accounts: made and restored here, lent by a wallet extension, well known.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { before, test } from "node:test";
import { Keyring } from "@polkadot/keyring";
import { TypeRegistry } from "@polkadot/types";
import { cryptoWaitReady } from "@polkadot/util-crypto";
import { openTab, openWindow, rate, rateAndWait, speakAs, startNode, until } from "./support.mjs";

let node = null;

before(async () => {
  node = await startNode("--dev");
});

const current = (page) => page.evaluate(() => JSON.parse(sessionStorage.getItem("mfchain.current")));
const dialogOf = (page) => page.getByRole("dialog", { name: "Who are you?" });

async function open(page) {
  await page.locator(".account-button").click();
  return dialogOf(page);
}

async function make(page, name) {
  const dialog = await open(page);
  await dialog.getByRole("button", { name: "Make an account" }).click();
  await dialog.getByLabel("Name").fill(name);
  await dialog.getByRole("button", { name: "Make it" }).click();
  const phrase = await dialog.locator(".phrase").textContent();
  await dialog.getByRole("button", { name: "I have written it down" }).click();
  return phrase;
}

async function restore(page, phrase, name) {
  const dialog = await open(page);
  await dialog.getByRole("button", { name: "Restore from a phrase" }).click();
  await dialog.getByLabel("Secret phrase").fill(phrase);
  await dialog.getByLabel("Name").fill(name);
  await dialog.getByRole("button", { name: "Restore" }).click();
  return dialog;
}

test("an account is made, rates, is exported, removed and restored", async () => {
  const page = await openWindow(node.url);
  const phrase = await make(page, "Grete");
  assert.equal(phrase.split(" ").length, 12);
  const address = await current(page);
  await rateAndWait(page, "Ozark", "like");
  assert.deepEqual((await node.call("mf_user", address)).ratings, [{ item: 11, title: "Ozark", rating: 1 }]);

  await page.reload();
  await page.locator(".account-button").getByText("Grete").waitFor();
  const dialog = await open(page);
  await dialog.getByRole("button", { name: "Show phrase of Grete" }).click();
  assert.equal(await dialog.locator(".phrase:visible").textContent(), phrase);
  await dialog.getByRole("button", { name: "Remove Grete from this browser" }).click();
  await dialog.getByRole("button", { name: "Yes, remove it" }).click();
  assert.equal(await dialog.getByText("Grete").count(), 0);
  await page.keyboard.press("Escape");
  assert.notEqual(await current(page), address);

  await restore(page, `  ${phrase.replaceAll(" ", "\n ")} `, "Grete again");
  await page.locator(".account-button").getByText("Grete again").waitFor();
  assert.equal(await current(page), address);
  await rateAndWait(page, "Ozark", "dislike");
  assert.deepEqual((await node.call("mf_user", address)).ratings, [{ item: 11, title: "Ozark", rating: -1 }]);

  const other = await openWindow(node.url);
  await restore(other, phrase, "Grete elsewhere");
  await other.getByRole("button", { name: "dislike", pressed: true }).waitFor();
  assert.equal(await current(other), address);
});

test("the key of an account made here opens it in other tools", async () => {
  await cryptoWaitReady();
  const page = await openWindow(node.url);
  const phrase = await make(page, "Hans");
  const pair = new Keyring({ type: "ed25519", ss58Format: 42 }).createFromUri(phrase);
  assert.equal(await current(page), pair.address);
});

test("a phrase that is none is refused in words", async () => {
  const page = await openWindow(node.url);
  const dialog = await restore(page, "abandon abandon ability", "Nobody");
  await dialog
    .getByRole("alert")
    .getByText("That is no secret phrase: a word is wrong, missing or out of place.")
    .waitFor();
  await dialog.getByLabel("Secret phrase").fill("//Bob");
  await dialog.getByRole("button", { name: "Restore" }).click();
  await dialog.getByRole("alert").getByText("That account is here already.").waitFor();
});

test("the development accounts are those that everybody derives", async () => {
  const page = await openWindow(node.url);
  const { accounts } = JSON.parse(readFileSync(new URL("../vectors/dev_accounts.json", import.meta.url)));
  const shown = await page.evaluate(async () =>
    (await import("/ui/accounts.js")).DEVELOPMENT.map(({ suri, address }) => [suri, address]),
  );
  assert.deepEqual(
    shown,
    accounts.map(({ uri, ed25519_ss58_42: address }) => [uri, address]),
  );
});

test("two windows of a browser speak for different accounts", async () => {
  const first = await openWindow(node.url);
  await speakAs(first, "Bob");
  const second = await openTab(first.context(), node.url);
  await second.locator(".account-button").getByText("Bob").waitFor();
  await speakAs(second, "Eve");
  await first.reload();
  await first.locator(".account-button").getByText("Bob").waitFor();
});

test("a wallet extension signs in its own way", async () => {
  await cryptoWaitReady();
  const pair = new Keyring({ type: "sr25519", ss58Format: 42 }).createFromUri("//Wallet");
  const page = await openTab((await openWindow(node.url)).context(), node.url, (tab) => addWallet(tab, pair));
  const dialog = await open(page);
  await dialog.getByRole("button", { name: "Show its accounts" }).click();
  await dialog.getByRole("button", { name: "In the wallet" }).click();
  await rateAndWait(page, "Veep", "dislike");
  assert.deepEqual((await node.call("mf_user", pair.address)).ratings, [{ item: 0, title: "Veep", rating: -1 }]);

  await page.evaluate(() => {
    window.walletRefuses = true;
  });
  await rate(page, "Archer", "like");
  await page.getByRole("alert").getByText("Not done. The wallet did not sign it.").waitFor();
});

/** What a wallet extension injects into pages; it signs with polkadot's own code for extensions' payloads. */
async function addWallet(page, pair) {
  const registry = new TypeRegistry();
  await page.exposeFunction("signInWallet", (payload) => {
    registry.setSignedExtensions(payload.signedExtensions);
    return registry.createType("ExtrinsicPayload", payload, { version: payload.version }).sign(pair).signature;
  });
  await page.addInitScript((address) => {
    const accounts = [{ address, name: "In the wallet", type: "sr25519" }];
    const signer = {
      signPayload: async (payload) => {
        if (window.walletRefuses) {
          throw new Error("Cancelled");
        }
        return { id: 1, signature: await window.signInWallet(payload) };
      },
    };
    const injected = { accounts: { get: async () => accounts, subscribe: () => () => {} }, signer };
    window.injectedWeb3 = { "test-wallet": { version: "1", enable: async () => injected } };
  }, pair.address);
}

test("without a wallet extension the page says so", async () => {
  const page = await openWindow(node.url);
  const dialog = await open(page);
  await dialog.getByRole("button", { name: "Show its accounts" }).click();
  await dialog
    .getByText("No wallet extension answers in this browser. Install one, or make an account here.")
    .waitFor();
  await until(async () => (await dialog.locator(".account").count()) === 6, "the development accounts only");
});
