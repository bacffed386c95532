// Bundles the page scripts and styles into src/orca/web/static/dist under names that hold their content's hash,
// and writes manifest.json (logical name -> hashed name) for the server.
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { watch } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { compile } from "@tailwindcss/node";
import { Scanner } from "@tailwindcss/oxide";
import esbuild from "esbuild";

const here = path.dirname(fileURLToPath(import.meta.url));
const dist = path.resolve(here, "../src/orca/web/static/dist");
// The first versions with popovers and light-dark().
const browsers = ["chrome123", "firefox125", "safari17.5"];
const watchedFolders = [path.join(here, "src"), path.resolve(here, "../src/orca")];

async function bundleScripts() {
  const result = await esbuild.build({
    absWorkingDir: here,
    entryPoints: ["src/js/app.js"],
    bundle: true,
    format: "iife",
    target: browsers,
    minify: true,
    legalComments: "none",
    write: false,
  });
  return result.outputFiles[0].contents;
}

async function bundleStyles() {
  const entry = path.join(here, "src/css/app.css");
  const compiler = await compile(await readFile(entry, "utf8"), {
    base: path.dirname(entry),
    onDependency: () => {},
  });
  const candidates = new Scanner({ sources: compiler.sources }).scan();
  const { code, warnings } = await esbuild.transform(compiler.build(candidates), { loader: "css", minify: true, target: browsers });
  for (const warning of warnings) console.warn(warning.text);
  return Buffer.from(code);
}

function hashedName(name, content) {
  const { name: stem, ext } = path.parse(name);
  return `${stem}.${createHash("sha256").update(content).digest("hex").slice(0, 12)}${ext}`;
}

async function writeAtomically(name, content) {
  const target = path.join(dist, name);
  await writeFile(`${target}.new`, content);
  await rename(`${target}.new`, target);
}

async function build() {
  const [script, style] = await Promise.all([bundleScripts(), bundleStyles()]);
  const manifest = {};
  await mkdir(dist, { recursive: true });
  const pictures = await Promise.all(["favicon.svg", "logo.svg"].map(async (name) => [name, await readFile(path.join(dist, "..", name))]));
  for (const [name, content] of [["app.js", script], ["app.css", style], ...pictures]) {
    manifest[name] = hashedName(name, content);
    await writeAtomically(manifest[name], content);
  }
  await writeAtomically("manifest.json", `${JSON.stringify(manifest, null, 2)}\n`);
  const wanted = new Set([...Object.values(manifest), "manifest.json"]);
  for (const name of await readdir(dist)) if (!wanted.has(name)) await rm(path.join(dist, name), { recursive: true });
  const size = (content) => `${(content.length / 1024).toFixed(0)} KiB`;
  console.log(`${manifest["app.js"]} ${size(script)}, ${manifest["app.css"]} ${size(style)}`);
}

await build();
if (process.argv.includes("--watch")) {
  let timer;
  const rebuild = (_event, name) => {
    if (!name || !/\.(html|js|css)$/.test(name) || name.includes("static/dist")) return;
    clearTimeout(timer);
    timer = setTimeout(() => build().catch((error) => console.error(error.message)), 150);
  };
  for (const folder of watchedFolders) watch(folder, { recursive: true }, rebuild);
}
