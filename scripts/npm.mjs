// Packs what npm is to hold: `sandtable`, and `@sandtable/PLATFORM` with the program, which the first names as an
// optional dependency, so that npm installs it where it fits and does without elsewhere.
//
//   node scripts/npm.mjs PROGRAM FOLDER
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const [program, dist] = process.argv.slice(2);
const root = fileURLToPath(new URL("../", import.meta.url));
const source = path.join(root, "clients/node");
const stage = fs.mkdtempSync(path.join(os.tmpdir(), "sandtable-npm-"));

// What there are programs for. The others are told of the image by `sandtable` itself.
const PLATFORMS = ["linux-x64", "linux-arm64"];
const here = `${process.platform}-${process.arch}`;
if (!PLATFORMS.includes(here)) throw new Error(`there is no package for ${here}`);

function write(folder, manifest) {
  fs.writeFileSync(path.join(folder, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
}

function pack(folder) {
  const out = execFileSync("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", dist, folder], {
    encoding: "utf8",
  });
  const file = path.join(dist, out.trim());
  console.log(`${fs.statSync(file).size} ${path.basename(file)}`);
}

try {
  const { devDependencies, overrides, scripts, ...manifest } = JSON.parse(
    fs.readFileSync(path.join(source, "package.json"), "utf8"),
  );
  const main = path.join(stage, "sandtable");
  fs.cpSync(path.join(source, "src"), path.join(main, "src"), { recursive: true });
  for (const file of ["clients/node/README.md", "LICENSE"]) {
    fs.copyFileSync(path.join(root, file), path.join(main, path.basename(file)));
  }
  const optionalDependencies = Object.fromEntries(
    PLATFORMS.map((platform) => [`@sandtable/${platform}`, manifest.version]),
  );
  write(main, { ...manifest, optionalDependencies });

  const own = path.join(stage, here);
  fs.mkdirSync(path.join(own, "bin"), { recursive: true });
  fs.copyFileSync(program, path.join(own, "bin/sandtable"));
  fs.chmodSync(path.join(own, "bin/sandtable"), 0o755);
  fs.copyFileSync(path.join(root, "LICENSE"), path.join(own, "LICENSE"));
  fs.writeFileSync(path.join(own, "README.md"), `The program of the package \`sandtable\` for ${here} with glibc.\n`);
  write(own, {
    name: `@sandtable/${here}`,
    version: manifest.version,
    description: `The program of the package sandtable for ${here}`,
    license: manifest.license,
    os: [process.platform],
    cpu: [process.arch],
    libc: ["glibc"],
    files: ["bin"],
  });
  pack(main);
  pack(own);
} finally {
  fs.rmSync(stage, { recursive: true, force: true });
}
