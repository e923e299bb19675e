// Says which jobs GitHub runs of a workflow, a line of JSON for each that asks: `node jobs.mjs NODE_MODULES PROJECT`.
//
// GitHub's own packages read the files and evaluate every expression. What they do not have is here: which events start
// a workflow, in which order jobs run, the product of a matrix, and what a called workflow's token may do.
import { readFile } from "node:fs/promises";
import { register } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

// The parser imports its schema in a way that node alone does not know.
const json = `export async function load(url, context, next) {
  if (!url.endsWith(".json")) return next(url, context);
  const { readFile } = await import("node:fs/promises");
  return { format: "module", shortCircuit: true, source: "export default " + (await readFile(new URL(url), "utf8")) };
}`;
register("data:text/javascript," + encodeURIComponent(json));

const [, , modules, project] = process.argv;
const from = (path) => import(pathToFileURL(`${modules}/@actions/${path}`));
const { Evaluator, Lexer, Parser, data } = await from("expressions/dist/index.js");
const { falsy } = await from("expressions/dist/result.js");
const parser = await from("workflow-parser/dist/index.js");
const { parseAction } = await from("workflow-parser/dist/actions/index.js");
const { parseFileReference } = await from("workflow-parser/dist/workflows/file-reference.js");
const { splitAllowedContext } = await from("workflow-parser/dist/templates/allowed-context.js");

const { convertWorkflowTemplate, isLiteral, isMapping, isSequence, parseWorkflow } = parser;
const trace = new parser.NoOperationTraceWriter();

const LEVELS = ["none", "read", "write"];
// Which activities start a workflow that names none.
const USUAL = new Map(["pull_request", "pull_request_target"].map((on) => [on, ["opened", "synchronize", "reopened"]]));

const unknown = (what) => {
  throw new Error(`${what} is more than this knows`);
};
const fine = (name, context) => {
  const faults = context.errors.getErrors();
  if (faults.length > 0) throw new Error(`${name}: ${faults.map((fault) => fault.message).join("; ")}`);
};
const pairs = (mapping) => [...(mapping ?? [])].map(({ key, value }) => [key.toString(), value]);
const mapped = (object, change) =>
  Object.fromEntries(Object.entries(object).map(([name, value]) => [name, change(value, name)]));

// What `success()` and the others say after these results.
function status(results) {
  const say = (name, call) => [name, { name, minArgs: 0, maxArgs: 0, call: () => new data.BooleanData(call()) }];
  return new Map([
    say("success", () => results.every((result) => result === "success")),
    say("failure", () => results.includes("failure")),
    say("always", () => true),
    say("cancelled", () => false),
  ]);
}

// The value of an expression that may name these contexts, as GitHub's evaluator has it.
function evaluate(expression, names, contexts, functions = new Map()) {
  const known = names.filter((name) => name in contexts);
  const tree = new Parser(new Lexer(expression).lex().tokens, known, [...functions.values()]).parse();
  const given = new data.Dictionary(...known.map((key) => ({ key, value: plain(contexts[key]) })));
  return new Evaluator(tree, given, functions).evaluate();
}
const plain = (value) => JSON.parse(JSON.stringify(value), data.reviver);
const allowed = (token) => splitAllowedContext(token.definitionInfo?.allowedContext ?? []).namedContexts;

// A part of a workflow with the values of its expressions.
function filled(token, contexts) {
  if (isMapping(token)) return mapped(Object.fromEntries(pairs(token)), (value) => filled(value, contexts));
  if (isSequence(token)) return [...token].map((item) => filled(item, contexts));
  if (isLiteral(token)) return token.value ?? null;
  const value = evaluate(token.expression, allowed(token), contexts);
  return JSON.parse(JSON.stringify(value, data.replacer));
}
const word = (token, contexts) => plain(filled(token, contexts)).coerceString();
const words = (mapping, contexts) => mapped(Object.fromEntries(pairs(mapping)), (value) => word(value, contexts));
const holds = (condition, contexts, results) =>
  !falsy(evaluate(condition.expression, allowed(condition), contexts, status(results)));

// A workflow with those that it calls, each job with what its token may do; `most` is what the caller's job may.
async function load(name, content, most) {
  const { context, value } = parseWorkflow({ name, content }, trace);
  fine(name, context);
  const files = new Map();
  const provider = {
    async getFileContent(reference) {
      const file = { name: reference.path, content: await readFile(`${project}/${reference.path}`, "utf8") };
      files.set(reference.path, file);
      return file;
    },
  };
  const template = await convertWorkflowTemplate(context, value, provider, { fetchReusableWorkflowDepth: 1 });
  fine(name, context);
  const jobs = [];
  for (const job of template.jobs) {
    const id = job.id.value;
    const raw = value.find("jobs").find(id);
    const asked = raw.find("permissions") ?? value.find("permissions");
    if (asked && !isMapping(asked)) unknown(`\`permissions: ${asked}\``);
    const permissions = asked ? filled(asked, {}) : most;
    if (!permissions) throw new Error(`${name}: the repository's settings say what the token of \`${id}\` may do`);
    for (const [scope, level] of Object.entries(most ? permissions : {})) {
      const limit = most[scope] ?? "none";
      if (LEVELS.indexOf(level) > LEVELS.indexOf(limit)) {
        throw new Error(`The nested job '${id}' is requesting '${scope}: ${level}', but is only allowed '${limit}'`);
      }
    }
    const file = job.ref && files.get(parseFileReference(job.ref.value).path);
    const called = file && (await load(file.name, file.content, permissions));
    jobs.push({ id, job, raw, permissions, called, needs: (job.needs ?? []).map(String) });
  }
  return { root: value, events: template.events, jobs };
}

// Does the event start the workflow?
function starts(events, { event_name, event, ref }) {
  const on = events[event_name];
  if (!on) return false;
  const { types = USUAL.get(event_name), workflows, branches, tags, inputs, ...more } = on;
  if (Object.keys(more).length > 0) unknown(Object.keys(more));
  if (types && !types.includes(event.action)) return false;
  if (workflows && !workflows.includes(event.workflow_run.name)) return false;
  if (!branches && !tags) return true;
  if (event_name !== "push") unknown(`a filter of branches for ${event_name}`);
  const [, kind, name] = ref.match(/^refs\/(heads|tags)\/(.+)$/);
  const fits = (pattern) => pattern === "**" || (/[*?+[\]!\\]/.test(pattern) ? unknown(pattern) : pattern === name);
  return ((kind === "heads" ? branches : tags) ?? []).some(fits);
}

// The inputs of a workflow of which these are given.
function inputs(declared, given) {
  for (const name of Object.keys(given)) if (!declared[name]) throw new Error(`there is no input \`${name}\``);
  return mapped(declared, (about, name) => {
    if (about.type !== "string") unknown(`an input of type ${about.type}`);
    if (about.required && !(name in given) && about.default === undefined) throw new Error(`\`${name}\` is required`);
    return given[name] ?? about.default ?? "";
  });
}

// Every combination of a matrix; one of nothing where there is none.
function combinations(strategy) {
  let all = [{}];
  for (const [name, values] of Object.entries(strategy?.matrix ?? {})) {
    if (name === "include" || name === "exclude" || !Array.isArray(values)) unknown(`the matrix's \`${name}\``);
    if (values.length === 0) throw new Error(`Matrix vector '${name}' does not contain any values`);
    all = all.flatMap((one) => values.map((value) => ({ ...one, [name]: value })));
  }
  return all;
}

// The outputs that an action of this project declares.
async function declared(uses) {
  const name = `${parseFileReference(uses).path}/action.yml`;
  const content = await readFile(`${project}/${name}`, "utf8");
  const { context, value } = parseAction({ name, content }, trace);
  fine(name, context);
  return pairs(value.find("outputs")).map(([output]) => output);
}

// What a job's steps do for one combination, when those with an id end as the question says.
async function walk({ job, raw, id }, contexts, told) {
  const known = { ...contexts, steps: {} };
  const steps = [];
  const results = [];
  for (const [at, step] of job.steps.entries()) {
    const token = raw.find("steps").get(at);
    const own = token.find("id")?.value;
    if (!holds(step.if, known, results)) continue;
    const { outcome = "success", outputs = {} } = told[own] ?? {};
    if (step.uses?.value.startsWith("$/")) {
      const names = await declared(step.uses.value);
      const stray = Object.keys(outputs).find((output) => !names.includes(output));
      if (stray) throw new Error(`${step.uses}: there is no output \`${stray}\``);
    }
    steps.push({ uses: step.uses?.value ?? null, with: words(token.find("with"), known) });
    results.push(outcome);
    if (own) known.steps[own] = { outcome, conclusion: outcome, outputs };
  }
  const stray = Object.keys(told).find((step) => !job.steps.some(({ id }) => id === step));
  if (stray) throw new Error(`\`${id}\` has no step \`${stray}\``);
  const outputs = words(job.outputs, known);
  return { result: results.includes("failure") ? "failure" : "success", outputs, steps };
}

// Runs the jobs of a workflow; `all` gets what became of each under its whole name.
async function run({ jobs, root }, contexts, before, told, all) {
  const done = new Map();
  const above = (needs) => needs.flatMap((need) => [need, ...above(done.get(need).needs)]);
  while (done.size < jobs.length) {
    const next = jobs.find(({ id, needs }) => !done.has(id) && needs.every((need) => done.has(need)));
    const { id, job, needs, permissions, called } = next;
    const name = `${before}${id}`;
    const needed = Object.fromEntries(needs.map((need) => [need, done.get(need).context]));
    const known = { github: contexts.github, inputs: contexts.inputs, vars: contexts.vars, needs: needed };
    const mine = { permissions, uses: job.ref?.value ?? null, with: {}, legs: [], result: "skipped", outputs: {} };
    all[name] = mine;
    if (holds(job.if, known, above(needs).map((need) => done.get(need).context.result))) {
      const strategy = job.strategy && filled(job.strategy, known);
      for (const matrix of combinations(strategy)) {
        const inner = { ...known, matrix };
        if (called) {
          if (strategy) unknown("a workflow that is called by a matrix");
          mine.with = words(job["input-values"], inner);
          const given = inputs(called.events.workflow_call.inputs ?? {}, mine.with);
          Object.assign(mine, await run(called, { ...contexts, inputs: given }, `${name} / `, told, all));
        } else {
          const { steps, ...ended } = await walk(next, inner, told[name] ?? {});
          Object.assign(mine, ended);
          mine.legs.push({ matrix, steps });
        }
      }
    }
    done.set(id, { needs, context: { result: mine.result, outputs: mine.outputs } });
  }
  const ended = mapped(Object.fromEntries(done), ({ context }) => context);
  const asked = pairs(root.find("on").find?.("workflow_call")?.find?.("outputs"));
  const known = { ...contexts, jobs: ended };
  return {
    result: Object.values(ended).some(({ result }) => result === "failure") ? "failure" : "success",
    outputs: Object.fromEntries(asked.map(([name, about]) => [name, word(about.find("value"), known)])),
  };
}

async function answer({ name, content, github, vars = {}, inputs: given = {}, steps = {} }) {
  const workflow = await load(name, content, undefined);
  const told = { started: starts(workflow.events, github), group: null, jobs: {} };
  if (!told.started) return told;
  const contexts = { github, vars, inputs: inputs(workflow.events.workflow_dispatch?.inputs ?? {}, given) };
  const concurrency = workflow.root.find("concurrency");
  told.group = concurrency ? filled(concurrency, contexts).group : null;
  await run(workflow, contexts, "", steps, told.jobs);
  return told;
}

for await (const line of createInterface({ input: process.stdin })) {
  const told = await answer(JSON.parse(line)).catch((error) => ({ error: error.message }));
  console.log(JSON.stringify(told));
}
