// A catalogue of the size of MovieLens-100K.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { MFCHAIN, card, openWindow, speakAs, startNode, temporaryFolder, until } from "./support.mjs";

const ITEMS = 1_700;

let node = null;

before(async () => {
  const spec = JSON.parse(
    execFileSync(MFCHAIN("mfchain-node"), ["export-chain-spec", "--chain", "movielens"], { encoding: "utf8" }),
  );
  spec.genesis.items = Array.from({ length: ITEMS }, (_, item) => `Film ${String(item).padStart(4, "0")}`);
  spec.chainType = "Development";
  spec.sealing = "instant";
  spec.genesis.ring = [];
  const path = join(temporaryFolder(), "chain.json");
  writeFileSync(path, JSON.stringify(spec));
  node = await startNode("--chain", path, "--tmp", "--alice", "--producer", "--rpc-methods", "unsafe");
});

test("1,700 items: found, grown by scrolling, ordered, rated with stars", async () => {
  const page = await openWindow(node.url);
  await page.getByText("1,700 items.").waitFor();
  const cards = page.locator("li.card");
  await until(async () => (await cards.count()) >= 48, "the first cards");
  assert.ok((await cards.count()) <= 144, "only what is near the window is made");
  const shown = await cards.count();
  await page.mouse.wheel(0, 100_000);
  await until(async () => (await cards.count()) > shown, "more cards");

  await page.getByRole("searchbox").fill("1699");
  await page.getByText("1 of 1,700 items.").waitFor();
  await card(page, "Film 1699").getByRole("button", { name: "4", exact: true }).click();
  await card(page, "Film 1699")
    .locator("[aria-busy=false]")
    .getByRole("button", { name: "4", exact: true, pressed: true })
    .waitFor();
  await page.getByRole("searchbox").fill("");
  await page.getByLabel("Order").selectOption("Best guess");
  await until(async () => (await cards.first().locator("h3").textContent()) === "Film 1699", "what is liked first");
  await speakAs(page, "Bob");
  await page.getByText("1,700 items.").waitFor();
});
