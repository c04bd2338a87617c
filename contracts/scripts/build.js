// npm run build: compiles the contracts and writes artifacts/<Name>.json.
'use strict';
const fs = require('fs');
const path = require('path');
const { compile, artifactPath, artifactText } = require('./compile');

try {
  const artifacts = compile();
  fs.mkdirSync(path.dirname(artifactPath('x')), { recursive: true });
  for (const [name, artifact] of Object.entries(artifacts)) {
    fs.writeFileSync(artifactPath(name), artifactText(artifact));
    console.log(`${name}: ${(artifact.deployedBytecode.length - 2) / 2} bytes`);
  }
} catch (error) {
  console.error(`build: ${error.message}`);
  process.exitCode = 1;
}
