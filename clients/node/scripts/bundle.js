// Before packing: puts the server's program into the package, if SANDTABLE_BUNDLE names it.
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("../bin/", import.meta.url));
// One of an earlier packing is not meant.
fs.rmSync(folder, { recursive: true, force: true });
const bundle = process.env.SANDTABLE_BUNDLE;
if (bundle) {
  if (!fs.statSync(bundle, { throwIfNoEntry: false })?.isFile()) {
    console.error(`SANDTABLE_BUNDLE names \`${bundle}\`, which is no file`);
    process.exit(1);
  }
  fs.mkdirSync(folder);
  const target = path.join(folder, path.basename(bundle).endsWith(".exe") ? "sandtable.exe" : "sandtable");
  fs.copyFileSync(bundle, target);
  fs.chmodSync(target, 0o755);
}
