/* Builds what the pages need from node_modules into odavl_hub/static/vendor/: one style sheet for
 * each writing direction (Tabler without the rules that no template uses, and our fonts), one
 * sprite of the icons in icons.json, htmx and uPlot. Nothing is fetched; the same input gives the
 * same files. Run by `npm run build`. */
import { copyFile, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { transform } from "lightningcss";
import { PurgeCSS } from "purgecss";

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const MODULES = path.join(ROOT, "node_modules");
const VENDOR = path.join(ROOT, "odavl_hub", "static", "vendor");

/** Where class names are written down. */
const CONTENT = ["odavl_hub", "dashboard", "insight", "autopilot", "guardian", "storage"].flatMap((app) => [
  `${ROOT}/${app}/templates/**/*.html`,
  `${ROOT}/${app}/templatetags/*.py`,
  `${ROOT}/${app}/static/js/*.js`,
]);

/* The subsets that English and Arabic need. The browser fetches one only when a page has a
 * character of its range, so an English page never pays for the Arabic font. */
const LATIN =
  "U+0000-00FF,U+0131,U+0152-0153,U+02BB-02BC,U+02C6,U+02DA,U+02DC,U+0304,U+0308,U+0329," +
  "U+2000-206F,U+20AC,U+2122,U+2190-2193,U+2212,U+2215,U+FEFF,U+FFFD";
const ARABIC = "U+0600-06FF,U+0750-077F,U+0870-08FF,U+200C-200E,U+2010-2011,U+FB50-FDFF,U+FE70-FEFF";
const FONTS = [
  {
    family: "Inter",
    source: "@fontsource-variable/inter/files/inter-latin-wght-normal.woff2",
    weight: "100 900",
    range: LATIN,
  },
  {
    family: "JetBrains Mono",
    source: "@fontsource-variable/jetbrains-mono/files/jetbrains-mono-latin-wght-normal.woff2",
    weight: "100 800",
    range: LATIN,
  },
  ...[400, 600].map((weight) => ({
    family: "IBM Plex Sans Arabic",
    source: `@fontsource/ibm-plex-sans-arabic/files/ibm-plex-sans-arabic-arabic-${weight}-normal.woff2`,
    weight: String(weight),
    range: ARABIC,
  })),
];

async function copyFonts() {
  await mkdir(path.join(VENDOR, "fonts"), { recursive: true });
  const faces = FONTS.map(async ({ family, source, weight, range }) => {
    const name = path.basename(source);
    await copyFile(path.join(MODULES, source), path.join(VENDOR, "fonts", name));
    return (
      `@font-face{font-family:"${family}";font-style:normal;font-weight:${weight};` +
      `font-display:swap;src:url(fonts/${name}) format("woff2");unicode-range:${range}}`
    );
  });
  return (await Promise.all(faces)).join("\n");
}

async function buildStyles(faces) {
  for (const [source, target] of [
    ["tabler.css", "tabler.css"],
    ["tabler.rtl.css", "tabler-rtl.css"],
  ]) {
    const [purged] = await new PurgeCSS().purge({
      content: CONTENT,
      css: [path.join(MODULES, "@tabler/core/dist/css", source)],
      variables: true,
      safelist: { standard: ["html", "body", ":root", /^htmx-/] },
      dynamicAttributes: ["data-bs-theme", "dir", "open", "aria-current", "type"],
    });
    const { code } = transform({
      filename: target,
      code: Buffer.from(`${faces}\n${purged.css}`),
      minify: true,
      // No targets: light-dark() and relative colours are left to the browser.
    });
    await writeFile(path.join(VENDOR, target), code);
  }
}

async function buildSprite() {
  const names = JSON.parse(await readFile(path.join(ROOT, "frontend", "icons.json"), "utf8"));
  const symbols = names.map(async (name) => {
    const file = path.join(MODULES, "@tabler/icons/icons/outline", `${name}.svg`);
    const svg = await readFile(file, "utf8");
    const inner = svg.slice(svg.indexOf(">", svg.indexOf("<svg")) + 1, svg.lastIndexOf("</svg>"));
    return `<symbol id="${name}" viewBox="0 0 24 24">${inner.replace(/<path stroke="none"[^>]*>/, "").replace(/\s*\n\s*/g, "")}</symbol>`;
  });
  const body = (await Promise.all(symbols)).join("\n");
  const sprite = `<svg xmlns="http://www.w3.org/2000/svg">\n${body}\n</svg>\n`;
  await writeFile(path.join(VENDOR, "icons.svg"), sprite);
}

async function copyScripts() {
  await copyFile(path.join(MODULES, "htmx.org/dist/htmx.min.js"), path.join(VENDOR, "htmx.min.js"));
  await copyFile(path.join(MODULES, "uplot/dist/uPlot.iife.min.js"), path.join(VENDOR, "uplot.min.js"));
  await copyFile(path.join(MODULES, "uplot/dist/uPlot.min.css"), path.join(VENDOR, "uplot.min.css"));
}

await rm(VENDOR, { recursive: true, force: true });
await mkdir(VENDOR, { recursive: true });
await Promise.all([copyFonts().then(buildStyles), buildSprite(), copyScripts()]);
const built = await readdir(VENDOR);
console.log(`odavl_hub/static/vendor: ${built.sort().join(", ")}`);
