// Checks webhooks against GitHub's own description of them: a file of [event, payload] pairs; prints what does not fit.
const { createRequire } = require("node:module");
const fs = require("node:fs");
const packages = createRequire(process.env.MODELSHIP_TEST_GITHUB + "/");
const Ajv = packages("ajv/dist/2020").default;
const contract = packages("@octokit/openapi-webhooks/generated/api.github.com.json");
const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false });
ajv.addSchema({ $id: "contract", components: contract.components });
for (const [event, payload] of JSON.parse(fs.readFileSync(process.argv[2], "utf8"))) {
  const name = [event, payload.action].filter(Boolean).join("-").replaceAll("_", "-");
  const webhook = contract.webhooks[name];
  if (!webhook) { console.log(`${name}: no such webhook`); continue; }
  const reference = webhook.post.requestBody.content["application/json"].schema.$ref;
  const validate = ajv.compile({ $ref: "contract" + reference });
  if (!validate(payload)) {
    for (const error of validate.errors) console.log(`${name}: ${error.instancePath} ${error.message}`);
  }
}
