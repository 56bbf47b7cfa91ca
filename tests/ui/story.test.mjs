// The story of the seed: two windows, two nodes, three ratings, one prediction.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  card,
  guessOf,
  openWindow,
  rateAndWait,
  speakAs,
  startLocalnet,
  startNode,
  until,
  waitForText,
} from "./support.mjs";

const DIGEST = /0x[0-9a-f]{64}/;

async function digestOf(page) {
  await page.getByRole("link", { name: "Watch" }).click();
  await waitForText(page.locator(".digest"), DIGEST);
  return page.locator(".digest").textContent();
}

test("Alice at one node and Bob at another come to one prediction", async () => {
  const [alices, bobs] = await startLocalnet(2);
  const [alice, bob] = await Promise.all([openWindow(alices), openWindow(bobs)]);
  await speakAs(bob, "Bob");
  await Promise.all([rateAndWait(alice, "Veep", "like"), rateAndWait(bob, "Veep", "like")]);
  await rateAndWait(bob, "Archer", "like");

  await waitForText(guessOf(alice, "Archer"), /^0\.30 · 90%: −0\.94 to 1\.00$/);
  await speakAs(bob, "Alice");
  await waitForText(guessOf(bob, "Archer"), /^0\.30 · 90%: −0\.94 to 1\.00$/);
  await card(alice, "Archer").getByText("1 rating", { exact: true }).waitFor();

  await until(async () => (await digestOf(alice)) === (await digestOf(bob)), "one digest at both nodes");
});

test("in another order and at one node the prediction is the same", async () => {
  const node = await startNode("--dev");
  const [alice, bob] = await Promise.all([openWindow(node.url), openWindow(node.url)]);
  await speakAs(bob, "Bob");
  await rateAndWait(bob, "Archer", "like");
  await rateAndWait(bob, "Veep", "like");
  const before = await guessOf(alice, "Archer").textContent();
  assert.doesNotMatch(before, /^0\.30/);
  await rateAndWait(alice, "Veep", "like");
  await waitForText(guessOf(alice, "Archer"), /^0\.30 · 90%: −0\.94 to 1\.00$/);
  const needle = alice.getByRole("img", {
    name: "Prediction for Archer: 0.30, with 90% certainty between −0.94 and 1.00",
  });
  assert.equal(await needle.count(), 2, "on the card and among the recommendations");
});
