// A throw-away anvil, JSON-RPC, and as much ABI encoding as the gas report needs.
'use strict';
const { spawn } = require('child_process');
const { binary } = require('./tools');

const START_SECONDS = 20;
const RECEIPT_SECONDS = 20;
const TOPIC_ID = 1;

/** Starts anvil on a free port. @returns {Promise<{url: string, stop: function}>} */
function startAnvil() {
  const child = spawn(binary('anvil'), ['--port', '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => { child.kill(); reject(new Error('anvil did not start')); }, START_SECONDS * 1000);
    let text = '';
    child.on('error', reject);
    child.stdout.on('data', (data) => {
      text += data;
      const port = /Listening on 127\.0\.0\.1:(\d+)/.exec(text);
      if (!port) return;
      clearTimeout(timer);
      resolve({ url: `http://127.0.0.1:${port[1]}`, stop: () => child.kill() });
    });
  });
}

const word = (value) => {
  if (typeof value === 'string') return value.slice(2).padStart(64, '0');
  return BigInt(value).toString(16).padStart(64, '0');
};

/** A dynamic value: an array of words, or the bytes of `{hex}` or `{text}`. */
function tail(value) {
  if (Array.isArray(value)) return word(value.length) + value.map(word).join('');
  const hex = value.text === undefined ? value.hex.slice(2) : Buffer.from(value.text).toString('hex');
  return word(hex.length / 2) + hex.padEnd(Math.ceil(hex.length / 64) * 64, '0');
}

/** ABI-encodes words (hex strings, numbers, booleans) and dynamic values (see tail). */
function encode(values) {
  let end = values.length * 32;
  const tails = [];
  const heads = values.map((value) => {
    if (value === null || typeof value !== 'object') return word(value);
    tails.push(tail(value));
    end += tails.at(-1).length / 2;
    return word(end - tails.at(-1).length / 2);
  });
  return heads.join('') + tails.join('');
}

/** A client of one node, whose accounts are unlocked. */
class Chain {
  constructor(url) {
    this.url = url;
    this.selectors = new Map();
  }

  async rpc(method, ...params) {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
    const answer = await fetch(this.url, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    const { result, error } = await answer.json();
    if (error) throw new Error(`${method}: ${error.message} ${error.data || ''}`);
    return result;
  }

  keccak(hex) {
    return this.rpc('web3_sha3', hex);
  }

  /** Calldata of `name(types)` with its values. */
  async calldata(signature, values) {
    if (!this.selectors.has(signature)) {
      const hash = await this.keccak(`0x${Buffer.from(signature).toString('hex')}`);
      this.selectors.set(signature, hash.slice(0, 10));
    }
    return this.selectors.get(signature) + encode(values);
  }

  /** Sends a transaction and returns its receipt, or throws when it reverted. */
  async transact(tx) {
    const hash = await this.rpc('eth_sendTransaction', { ...tx, gas: '0x1c00000' });
    let receipt = null;
    for (const end = Date.now() + RECEIPT_SECONDS * 1000; !receipt && Date.now() < end;) {
      receipt = await this.rpc('eth_getTransactionReceipt', hash);
    }
    if (!receipt) throw new Error(`no receipt for ${hash}`);
    if (receipt.status !== '0x1') throw new Error(`transaction to ${tx.to} reverted`);
    return receipt;
  }

  async deploy(from, artifact, values = []) {
    const receipt = await this.transact({ from, data: artifact.bytecode + encode(values) });
    return receipt.contractAddress;
  }

  /** @returns {Promise<{gas: number, id: string}>} gas used, first indexed field of the last event */
  async send(from, to, signature, ...values) {
    const receipt = await this.transact({ from, to, data: await this.calldata(signature, values) });
    const event = receipt.logs.at(-1);
    return { gas: Number(receipt.gasUsed), id: event && event.topics[TOPIC_ID] };
  }
}

module.exports = { Chain, startAnvil };
