// npm run coverage: line and branch coverage of src/, and an error below the goal.
'use strict';
const fs = require('fs');
const path = require('path');
const { forge } = require('./tools');
const { root } = require('./settings');

const GOAL_PERCENT = 95;
const REPORT = path.join(root, 'out', 'lcov.info');

/** Adds up a pair of lcov's counters (found, hit) over the files of src/. */
function percent(records, found, hit) {
  const sum = (key) => records.reduce((total, record) => {
    const match = new RegExp(`^${key}:(\\d+)$`, 'm').exec(record);
    return total + (match ? Number(match[1]) : 0);
  }, 0);
  return { hit: sum(hit), found: sum(found), percent: (100 * sum(hit)) / sum(found) };
}

function main() {
  fs.mkdirSync(path.dirname(REPORT), { recursive: true });
  fs.rmSync(REPORT, { force: true });
  const args = ['coverage', '--no-match-coverage', '^test/', '--report', 'summary', '--report', 'lcov', '--report-file', REPORT];
  if (forge(args) !== 0 || !fs.existsSync(REPORT)) throw new Error('forge coverage failed');
  const records = fs.readFileSync(REPORT, 'utf8').split('end_of_record')
    .filter((record) => /^SF:(.*\/)?src\//m.test(record));
  for (const [what, found, hit] of [['line', 'LF', 'LH'], ['branch', 'BRF', 'BRH']]) {
    const result = percent(records, found, hit);
    console.log(`${what} coverage ${result.percent.toFixed(1)} % (${result.hit} of ${result.found})`);
    if (!(result.percent >= GOAL_PERCENT)) throw new Error(`${what} coverage is below ${GOAL_PERCENT} %`);
  }
}

try {
  main();
} catch (error) {
  console.error(`coverage: ${error.message}`);
  process.exitCode = 1;
}
