// One compiler and one set of settings; foundry.toml repeats them for forge.
'use strict';
const path = require('path');

const root = path.resolve(__dirname, '..');

module.exports = {
  root,
  contracts: [
    'InstitutionRegistry', 'OperationRegistry', 'DataTokenRegistry',
    'TaskMarket', 'RoundLog', 'AuthorizationView',
  ],
  settings: {
    evmVersion: 'paris',
    optimizer: { enabled: true, runs: 200 },
    metadata: { bytecodeHash: 'none', appendCBOR: false },
  },
};
