// npm test: forge with the arguments given, e.g. `npm test -- --match-test Replay`.
'use strict';
const { forge } = require('./tools');

process.exitCode = forge(process.argv.slice(2));
