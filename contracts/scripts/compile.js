// Compiles src/ with npm's solc and returns the artifacts, without touching the disk.
'use strict';
const fs = require('fs');
const path = require('path');
const solc = require('solc');
const { root, contracts, settings } = require('./settings');

/** JSON with sorted keys: the one order that two compilers agree on. */
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const fields = Object.keys(value).sort().map((k) => `${JSON.stringify(k)}:${canonical(value[k])}`);
  return `{${fields.join(',')}}`;
}

/** An ABI whose entries are sorted by their canonical JSON. */
function sortedAbi(abi) {
  return abi.map((entry) => JSON.parse(canonical(entry)))
    .sort((a, b) => (canonical(a) < canonical(b) ? -1 : 1));
}

/** The text of an imported file: our own, or OpenZeppelin's from node_modules. */
function readImport(name) {
  const file = name.startsWith('@') ? path.join(root, 'node_modules', name) : path.join(root, name);
  return fs.existsSync(file)
    ? { contents: fs.readFileSync(file, 'utf8') }
    : { error: `file not found: ${name}` };
}

/** Every error counts, and every warning about our own files. */
function isOurs(problem) {
  const file = problem.sourceLocation ? problem.sourceLocation.file : '';
  return problem.severity === 'error' || (problem.severity === 'warning' && !file.startsWith('@'));
}

/** @returns {Object<string, {contractName, abi, bytecode, deployedBytecode}>} */
function compile() {
  const files = contracts.map((name) => `src/${name}.sol`);
  const output = { '*': ['abi', 'evm.bytecode.object', 'evm.deployedBytecode.object'] };
  const input = {
    language: 'Solidity',
    sources: Object.fromEntries(files.map((f) => [f, { content: readImport(f).contents }])),
    settings: { ...settings, outputSelection: Object.fromEntries(files.map((f) => [f, output])) },
  };
  const result = JSON.parse(solc.compile(JSON.stringify(input), { import: readImport }));
  const problems = (result.errors || []).filter(isOurs);
  if (problems.length) throw new Error(problems.map((e) => e.formattedMessage).join('\n'));
  return Object.fromEntries(contracts.map((name) => {
    const { abi, evm } = result.contracts[`src/${name}.sol`][name];
    return [name, {
      contractName: name,
      abi: sortedAbi(abi),
      bytecode: `0x${evm.bytecode.object}`,
      deployedBytecode: `0x${evm.deployedBytecode.object}`,
    }];
  }));
}

/** Where an artifact lies. */
const artifactPath = (name) => path.join(root, 'artifacts', `${name}.json`);

/** The exact text of an artifact: one line for each entry of the ABI. */
function artifactText({ contractName, abi, bytecode, deployedBytecode }) {
  const entries = abi.map((entry) => JSON.stringify(entry)).join(',\n');
  return `{"contractName":"${contractName}",\n"abi":[\n${entries}\n],\n`
    + `"bytecode":"${bytecode}",\n"deployedBytecode":"${deployedBytecode}"}\n`;
}

module.exports = { compile, artifactPath, artifactText };
