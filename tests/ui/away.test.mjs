// A node that dies, comes back, or comes back with another chain.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  card,
  complained,
  guessOf,
  openWindow,
  rate,
  rateAndWait,
  startNode,
  temporaryFolder,
  waitForText,
} from "./support.mjs";

const CHAIN = [
  "--chain",
  "dev",
  "--alice",
  "--producer",
  "--rpc-cors",
  "all",
  "--rpc-methods",
  "unsafe",
  "--port",
  "0",
  "--no-mdns",
];

test("a node that dies and comes back", async () => {
  const node = await startNode(...CHAIN, "--base-path", temporaryFolder());
  const page = await openWindow(node.url);
  await rateAndWait(page, "Dark", "like");
  const before = await guessOf(page, "Dark").textContent();

  await node.kill();
  const notice = page.locator("#connection");
  await notice.getByText("The node is away. The page shows what it last said.").waitFor();
  await notice.getByRole("button", { name: "Try now" }).click();
  await notice.getByText(/Trying again/).waitFor();
  assert.equal(await guessOf(page, "Dark").textContent(), before, "what it last said is still there");
  await rate(page, "Archer", "like");
  await page.getByRole("alert").getByText("Not done. The node is away. Try again when it is back.").waitFor();

  await node.start(node.port);
  await page.locator(".toast").getByText("Connected again.").waitFor();
  await notice.waitFor({ state: "hidden" });
  await rateAndWait(page, "Archer", "like");
  await node.call("dev_rate", "//Bob", 8, 1);
  await card(page, "Vikings").getByText("1 rating", { exact: true }).waitFor();
});

test("a node that takes no calls of the page's address", async () => {
  const node = await startNode("--dev", "--rpc-cors", "https://somewhere.example");
  const page = await openWindow(node.url.replace("127.0.0.1", "localhost"));
  await page.getByText("The node answers, but lets no page of this address call it.").waitFor();
  await complained(/status of 403/);
  await page.goto(node.url);
  await card(page, "Veep").waitFor();
});

test("a node that comes back with another chain", async () => {
  const node = await startNode("--dev");
  const page = await openWindow(node.url);
  await rateAndWait(page, "Dark", "like");
  await node.kill();
  node.args = ["--chain", "movielens", "--tmp", "--alice", "--producer", "--port", "0", "--no-mdns"];
  await node.start(node.port);
  await page.getByText("The node has another chain now. The page starts over.").waitFor();
  await page.getByText("The catalogue is empty. Add the first title below.").waitFor();
  await waitForText(page.locator(".account-button"), /somebody new/);
});
