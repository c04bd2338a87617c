#!/usr/bin/env node
// Npm's solc behind the command line of the native one, as far as forge needs it:
// `--version`, and `--standard-json` on stdin with `--base-path` and `--include-path`.
'use strict';
const fs = require('fs');
const path = require('path');
const solc = require('solc');

const args = process.argv.slice(2);

/** Every value given for an option. */
const values = (option) => args.flatMap((arg, i) => (arg === option ? [args[i + 1]] : []));

/** Writes all of it, although a pipe takes 64 KiB at a time. */
function writeAll(text) {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length;) {
    try {
      at += fs.writeSync(1, bytes, at);
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
    }
  }
}

function readImport(name) {
  const folders = [...values('--base-path'), ...values('--include-path'), process.cwd()];
  const file = folders.map((folder) => path.resolve(folder, name)).find((f) => fs.existsSync(f));
  return file ? { contents: fs.readFileSync(file, 'utf8') } : { error: `file not found: ${name}` };
}

if (args.includes('--version')) {
  // forge looks for a platform's name that it knows.
  const version = solc.version().replace('.Emscripten.clang', '.Linux.g++');
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${version}`);
} else if (args.includes('--standard-json')) {
  writeAll(solc.compile(fs.readFileSync(0, 'utf8'), { import: readImport }));
} else {
  console.error(`solc.js: cannot do ${args.join(' ')}`);
  process.exitCode = 1;
}
