// A receiver that verifies and keeps nothing: `node receivers.mjs octokit|probot NODE_MODULES PORT SECRET`.
import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { pathToFileURL } from "node:url";

const [, , which, modules, port, secret] = process.argv;
const load = (path) => import(pathToFileURL(`${modules}/${path}`));
if (which === "octokit") {
  const { Webhooks, createNodeMiddleware } = await load("@octokit/webhooks/dist-bundle/index.js");
  const webhooks = new Webhooks({ secret });
  webhooks.on("push", () => {});
  createServer(createNodeMiddleware(webhooks, { path: "/hook" })).listen(Number(port), "127.0.0.1");
} else {
  const { Probot, Server } = await load("probot/lib/index.js");
  const { privateKey } = generateKeyPairSync("rsa", {
    modulusLength: 2048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
  const server = new Server({
    port: Number(port),
    host: "127.0.0.1",
    webhookPath: "/hook",
    logLevel: "fatal",
    Probot: Probot.defaults({ appId: 1, privateKey, secret, logLevel: "fatal" }),
  });
  await server.load((app) => app.on("push", async () => {}));
  await server.start();
}
