// Runs a WebAssembly program for WASI: node wasi.mjs PROGRAM [ARGUMENT…]
import { readFile } from "node:fs/promises";
import { argv, env, exit } from "node:process";
import { WASI } from "node:wasi";

const wasi = new WASI({ version: "preview1", args: argv.slice(2), env, returnOnExit: true });
// The standard library names these, which older versions of wasi-libc lack. Nothing calls them: no thread ever started.
const NOT_SUPPORTED = 58;
const missing = { pthread_join: () => NOT_SUPPORTED, pthread_detach: () => NOT_SUPPORTED };

const program = await WebAssembly.compile(await readFile(argv[2]));
const instance = await WebAssembly.instantiate(program, { ...wasi.getImportObject(), env: missing });
exit(wasi.start(instance));
