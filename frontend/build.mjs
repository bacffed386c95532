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

// Alphabets that are shipped; a browser fetches only those whose letters a page shows.
const alphabets = /-(latin|latin-ext|cyrillic)-wght-normal\.woff2$/;
const bundled = ["@fontsource-variable/geist", "@fontsource-variable/geist-mono", "@xterm/addon-fit", "@xterm/xterm", "daisyui", "htmx.org", "idiomorph", "tailwindcss", "uplot"];

/** @param {string} entry a script with all that it imports; styles it imports come along as a file of their own */
async function bundleScript(entry) {
  const result = await esbuild.build({
    absWorkingDir: here,
    entryPoints: [entry],
    outdir: dist,
    bundle: true,
    format: "iife",
    target: browsers,
    minify: true,
    legalComments: "none",
    write: false,
  });
  return result.outputFiles.map((file) => [path.basename(file.path), Buffer.from(file.contents)]);
}

async function bundleStyles() {
  const entry = path.join(here, "src/css/app.css");
  const compiler = await compile(await readFile(entry, "utf8"), {
    base: path.dirname(entry),
    onDependency: () => {},
  });
  const candidates = new Scanner({ sources: compiler.sources }).scan();
  const { fonts, styles } = await takeFonts(compiler.build(candidates));
  const { code, warnings } = await esbuild.transform(styles, { loader: "css", minify: true, target: browsers });
  for (const warning of warnings) console.warn(warning.text);
  return [...fonts, ["app.css", Buffer.from(code)]];
}

/** @param {string} styles with the font faces as their packages declare them */
async function takeFonts(styles) {
  /** @type {Map<string, Buffer>} */
  const fonts = new Map();
  for (const [face, name] of styles.matchAll(/@font-face\s*{[^}]*url\(["']?\.\/files\/([\w.-]+)["']?\)[^}]*}/g)) {
    const family = name.startsWith("geist-mono-") ? "geist-mono" : "geist";
    if (alphabets.test(name)) {
      const content = await readFile(path.join(here, "node_modules/@fontsource-variable", family, "files", name));
      fonts.set(name, content);
      styles = styles.replace(`./files/${name}`, hashedName(name, content));
    } else styles = styles.replace(face, "");
  }
  return { fonts, styles };
}

async function collectLicences() {
  const texts = bundled.map(async (name) => {
    const text = await readFile(path.join(here, "node_modules", name, "LICENSE"), "utf8");
    return `${"=".repeat(100)}\n${name}\n\n${text.trim()}\n`;
  });
  const head = "Orca's pages contain the following software and typefaces of others, under their own licences.\n\n";
  return [["notices.txt", Buffer.from(head + (await Promise.all(texts)).join("\n"))]];
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

async function readPictures() {
  return Promise.all(["favicon.svg", "logo.svg"].map(async (name) => [name, await readFile(path.join(dist, "..", name))]));
}

async function build() {
  const scripts = ["app", "charts", "terminal"].map((name) => bundleScript(`src/js/${name}.js`));
  const made = [...scripts, bundleStyles(), readPictures(), collectLicences()];
  const files = (await Promise.all(made)).flat();
  await mkdir(dist, { recursive: true });
  const manifest = {};
  for (const [name, content] of files) {
    manifest[name] = hashedName(name, content);
    await writeAtomically(manifest[name], content);
  }
  await writeAtomically("manifest.json", `${JSON.stringify(manifest, null, 2)}\n`);
  const wanted = new Set([...Object.values(manifest), "manifest.json"]);
  for (const name of await readdir(dist)) if (!wanted.has(name)) await rm(path.join(dist, name), { recursive: true });
  const size = (content) => `${(content.length / 1024).toFixed(0)} KiB`;
  console.log(files.filter(([name]) => /\.(js|css)$/.test(name)).map(([name, content]) => `${manifest[name]} ${size(content)}`).join(", "));
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
