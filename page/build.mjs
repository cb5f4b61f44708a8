// Builds page/src into page/dist, which is committed: the program is built without node.
//
//   node build.mjs           writes page/dist
//   node build.mjs --check   fails if page/dist is not what page/src gives
import { build } from "esbuild";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const result = await build({
  absWorkingDir: here,
  entryPoints: [{ in: "src/main.ts", out: "app" }, { in: "src/app.css", out: "app" }],
  bundle: true,
  minify: true,
  charset: "utf8",
  target: ["chrome111", "firefox111", "safari16.4"],
  outdir: "dist",
  write: false,
  legalComments: "none",
});
const files = result.outputFiles.map((file) => [file.path, Buffer.from(file.contents)]);
files.push([join(here, "dist/icon.svg"), await readFile(join(here, "src/icon.svg"))]);

let stale = 0;
for (const [path, bytes] of files) {
  if (process.argv.includes("--check")) {
    const kept = await readFile(path).catch(() => Buffer.alloc(0));
    if (!kept.equals(bytes)) {
      console.error(`${path} is stale: run \`npm run build\` in page/`);
      stale += 1;
    }
  } else {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, bytes);
    console.log(`${path} ${bytes.length} bytes`);
  }
}
process.exitCode = stale > 0 ? 1 : 0;
