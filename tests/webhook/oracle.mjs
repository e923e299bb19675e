// Octokit's own receiver on a free port of this machine, which it prints: `node oracle.mjs NODE_MODULES SECRET`.
import { createServer } from "node:http";
import { pathToFileURL } from "node:url";

const [, , modules, secret] = process.argv;
const { Webhooks, createNodeMiddleware } = await import(
  pathToFileURL(`${modules}/@octokit/webhooks/dist-bundle/index.js`)
);
const quiet = { debug() {}, info() {}, warn() {}, error() {} };
const server = createServer(createNodeMiddleware(new Webhooks({ secret, log: quiet }), { path: "/hook", log: quiet }));
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.resume().on("end", () => process.exit(0)); // whoever started it is gone
