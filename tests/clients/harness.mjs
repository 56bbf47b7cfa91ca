// Runs named steps one after the other, and prints the name of each that has passed; the first failure ends the run.
// Arguments of every client's script: the node's address, and a file with what it cannot know by itself.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

export const url = process.argv[2];
export const given = JSON.parse(readFileSync(process.argv[3], 'utf8'));

const PATIENCE = 30_000;

export async function run(steps) {
  for (const [name, step] of Object.entries(steps)) {
    await within(step(), name);
    console.log(name);
  }
  process.exit(0);
}

export function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing after ${PATIENCE} ms`)), PATIENCE);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// The message of the error with which a promise fails.
export async function failure(promise) {
  let value;
  try {
    value = await promise;
  } catch (error) {
    return error;
  }
  return assert.fail(`it did not fail: ${JSON.stringify(value)}`);
}
