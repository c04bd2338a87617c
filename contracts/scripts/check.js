// npm run check: a rebuild gives the committed bytes, and none of them is an opcode PlatON lacks.
'use strict';
const fs = require('fs');
const { compile, artifactPath, artifactText } = require('./compile');
const { forbiddenOpcodes } = require('./opcodes');

/** @returns {string[]} what is wrong with one artifact */
function problemsOf([name, artifact]) {
  const committed = fs.existsSync(artifactPath(name)) ? fs.readFileSync(artifactPath(name), 'utf8') : '';
  const problems = ['bytecode', 'deployedBytecode'].flatMap((part) =>
    forbiddenOpcodes(artifact[part]).map((found) => `${name}.${part} uses ${found}`));
  if (committed !== artifactText(artifact)) {
    problems.unshift(`artifacts/${name}.json is not what src/ compiles to; run npm run build`);
  }
  return problems;
}

try {
  const artifacts = Object.entries(compile());
  const problems = artifacts.flatMap(problemsOf);
  for (const problem of problems) console.error(`check: ${problem}`);
  if (problems.length) process.exitCode = 1;
  else console.log(`check: ${artifacts.length} artifacts rebuilt byte for byte, no forbidden opcode`);
} catch (error) {
  console.error(`check: ${error.message}`);
  process.exitCode = 1;
}
