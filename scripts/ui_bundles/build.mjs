// Bundles the entry files beside this one into a folder, with the licences of what went in.
//
//     node build.mjs FOLDER
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const LICENCE_FILE = /^(licen[cs]e|copying|notice)(\.(md|txt))?$/i;

async function bundle(folder) {
  const result = await build({
    absWorkingDir: here,
    entryPoints: ["keys.js", "wallet.js"],
    outdir: folder,
    bundle: true,
    splitting: true,
    format: "esm",
    target: "es2022",
    minify: true,
    legalComments: "none",
    chunkNames: "shared-[hash]",
    metafile: true,
  });
  const used = new Set();
  for (const output of Object.values(result.metafile.outputs)) {
    for (const [input, { bytesInOutput }] of Object.entries(output.inputs)) {
      if (bytesInOutput > 0) {
        const found = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input);
        if (found) {
          used.add(found[1]);
        }
      }
    }
  }
  return [...used].sort();
}

async function licence(folder) {
  const described = JSON.parse(await readFile(join(here, folder, "package.json"), "utf8"));
  const names = (await readdir(join(here, folder))).filter((name) => LICENCE_FILE.test(name)).sort();
  const texts = await Promise.all(names.map((name) => readFile(join(here, folder, name), "utf8")));
  if (texts.length === 0 && !described.license) {
    throw new Error(`${described.name} says nothing of its licence`);
  }
  return {
    name: described.name,
    version: described.version,
    licence: described.license,
    text: texts.join("\n").trim(),
  };
}

// Packages under the same text share one entry.
async function licences(folders) {
  const entries = new Map();
  for (const folder of folders) {
    const found = await licence(folder);
    const text = found.text || `(The package has no text of its own; its licence is ${found.licence}.)`;
    entries.set(text, [...(entries.get(text) ?? []), `${found.name} ${found.version} (${found.licence})`]);
  }
  const line = "=".repeat(100);
  return [...entries].map(([text, names]) => `${line}\n${names.join("\n")}\n${line}\n\n${text}\n`).join("\n");
}

const target = process.argv[2];
await rm(target, { recursive: true, force: true });
await mkdir(target, { recursive: true });
const folders = await bundle(target);
await writeFile(join(target, "LICENSES.txt"), await licences(folders));
console.log(`${folders.length} packages in ${relative(process.cwd(), target)}`);
