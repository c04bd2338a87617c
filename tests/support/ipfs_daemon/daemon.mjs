// Starts a real IPFS node with the RPC API, offline, on a free port; prints the API's address.
Promise.withResolvers ??= function () {
  let resolve, reject
  const promise = new Promise((yes, no) => { resolve = yes; reject = no })
  return { promise, resolve, reject }
}
const { Daemon } = await import('ipfs-daemon')
const [repo] = process.argv.slice(2)
const daemon = new Daemon({
  repo,
  offline: true,
  silent: true,
  init: { emptyRepo: true, algorithm: 'Ed25519' },
  config: {
    Addresses: { Swarm: [], API: '/ip4/127.0.0.1/tcp/0', Gateway: '', RPC: '' , Delegates: []},
    Bootstrap: [], Discovery: { MDNS: { Enabled: false }, webRTCStar: { Enabled: false } }
  }
})
await daemon.start()
const api = daemon._httpApi._apiServers[0].info
console.log(JSON.stringify({ api: `http://127.0.0.1:${api.port}` }))
process.on('SIGTERM', async () => { await daemon.stop(); process.exit(0) })
