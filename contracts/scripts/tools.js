// The native binaries of Foundry that npm installed; elsewhere, those on the PATH.
'use strict';
const fs = require('fs');
const path = require('path');
const { spawnSync } = require('child_process');
const { root } = require('./settings');

const ARCH = { x64: 'amd64', arm64: 'arm64' };

/** The binary itself, not npm's shim: ending a shim leaves its child behind. */
function binary(tool) {
  const name = `${tool}-${process.platform}-${ARCH[process.arch]}`;
  const file = path.join(root, 'node_modules', '@foundry-rs', name, 'bin', tool);
  return fs.existsSync(file) ? file : tool;
}

/** Runs forge in contracts/ and returns its exit code. */
function forge(args, options = {}) {
  const { status, error } = spawnSync(binary('forge'), args, { cwd: root, stdio: 'inherit', ...options });
  if (!error) return status === null ? 1 : status;
  console.error(`forge: ${error.message}; run npm ci, or put forge 1.7.1 on the PATH`);
  return 1;
}

module.exports = { binary, forge };
