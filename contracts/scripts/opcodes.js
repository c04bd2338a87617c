// Finds the opcodes that older rules (PlatON) do not know, or mean otherwise, in bytecode.
'use strict';

const FORBIDDEN = {
  0x44: 'DIFFICULTY/PREVRANDAO',
  0x48: 'BASEFEE',
  0x49: 'BLOBHASH',
  0x4a: 'BLOBBASEFEE',
  0x5c: 'TLOAD',
  0x5d: 'TSTORE',
  0x5e: 'MCOPY',
  0x5f: 'PUSH0',
};
const PUSH1 = 0x60;
const PUSH32 = 0x7f;

/**
 * Reads the code as instructions, so that the data of a PUSH is never taken for one. Bytes that
 * follow the code as data are read as well. In creation code the constructor comes first; the code
 * that it deploys is scanned by itself.
 * @param {string} bytecode hex with 0x
 * @returns {string[]} one sentence for each forbidden instruction
 */
function forbiddenOpcodes(bytecode) {
  const code = Buffer.from(bytecode.slice(2), 'hex');
  const found = [];
  for (let at = 0; at < code.length; at += 1) {
    const op = code[at];
    if (FORBIDDEN[op]) found.push(`${FORBIDDEN[op]} (0x${op.toString(16)}) at byte ${at}`);
    if (op >= PUSH1 && op <= PUSH32) at += op - PUSH1 + 1;
  }
  return found;
}

module.exports = { forbiddenOpcodes };
