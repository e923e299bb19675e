//! A model that does what it is told to, also what it should not, in a world of its own.

use std::path::Path;

use crate::world::World;
use crate::world::laptop::Laptop;

/// The manifest: `MODE` says what happens, `N` makes runs differ, `MARK` asks to be counted.
pub(crate) const MANIFEST: &str = r#"owner: examples
title: trouble
description: does what it is told to, also what it should not
source: {path: models/trouble}
build: {process: []}
run:
  command: [sh, "{model}/trouble.sh", "{outputs}"]
  params: {format: env}
  resources: {vcpu: 1, memory: 256 MiB}
  timeout: 3s
parameters:
  MODE: {type: string, default: fine, description: what to do}
  N: {type: int, default: 1, min: 0, max: 1000000, description: a number to return}
  SLEEP: {type: float, default: 0, min: 0, max: 60, unit: s, description: how long it pretends to compute}
  MARK: {type: int, default: 0, min: 0, max: 1, description: 1 leaves a line beside the runs}
outputs:
  summary: summary.csv
  columns: {n: {description: N again}}
  files: [kept.txt]
  limit: 1 MiB
tests:
  - {name: base case, parameters: {}, expect: {n: 1}}
"#;

/// The model. A run lies below `<state>/scratch/`, so it finds the folder `<state>` itself: what it appends there says
/// how often a run was really executed.
pub(crate) const SCRIPT: &str = r#"set -u
outputs=$1
if [ "$MARK" = 1 ]; then printf '%s\n' "$MODE $N" >> "${PWD%%/scratch/*}/executed.txt"; fi
if [ "$MODE" = alone ]; then
    exec 9> "${PWD%%/scratch/*}/alone"
    flock --nonblock 9 || { echo 'two runs at once' >&2; exit 7; }
fi
if [ "$SLEEP" != 0 ] && [ "$SLEEP" != 0.0 ]; then sleep "$SLEEP"; fi
echo kept > "$outputs/kept.txt"
printf 'n,%s\n' "$N" > "$outputs/summary.csv"
case "$MODE" in
fine | alone) ;;
status) echo 'a wrong turn' >&2; exit 3 ;;
killed) kill -KILL $$ ;;
children) sleep 7391 & setsid sleep 7392 & ;;
long) sleep 60 ;;
talkative) head -c 104857600 /dev/zero | tr '\0' x; exit 4 ;;
silent) rm "$outputs/summary.csv" ;;
nan) printf 'n,NaN\n' > "$outputs/summary.csv" ;;
huge) head -c 11000000 /dev/zero > "$outputs/summary.csv" ;;
link) ln -sf /etc/passwd "$outputs/summary.csv" ;;
escape) rm "$outputs/kept.txt"; ln -s /etc/passwd "$outputs/kept.txt" ;;
directory) rm -r "$outputs"; ln -s /etc "$outputs" ;;
bulky) head -c 2000000 /dev/zero > "$outputs/kept.txt" ;;
filling) head -c 100000000 /dev/zero > "$outputs/filling" || exit 6 ;;
sparse) truncate -s 1T "$outputs/kept.txt" ;;
markdown) printf '</details><script>alert(1)</script> @everyone [x](http://evil) `tick`\n' >&2; exit 5 ;;
*) echo "no such mode" >&2; exit 64 ;;
esac
"#;

/// A sweep of the model that moves `parameters`, one `NAME: values` a line.
pub(crate) fn sweep(name: &str, parameters: &[&str]) -> String {
    let moved: String = parameters.iter().map(|line| format!("  {line}\n")).collect();
    format!("sweep: {name}\nmodel: examples/trouble\nparameters:\n{moved}")
}

/// A world in which the model is in production; `settings` are more lines of the settings file.
pub(crate) fn world(settings: &str) -> World {
    let mut world = World::empty();
    world.add_settings(settings);
    settle(&mut world);
    world
}

/// Brings the model to an empty world and starts its server.
pub(crate) fn settle(world: &mut World) {
    files(|path, text| world.write(path, text));
    world.start_server();
    world.publish();
}

/// A laptop with the model.
pub(crate) fn laptop() -> Laptop {
    let laptop = Laptop::with_models(&[]);
    files(|path, text| laptop.write(path, text));
    laptop.commit("Bring trouble");
    laptop
}

fn files(write: impl Fn(&str, &str)) {
    write("config/examples/trouble.yaml", MANIFEST);
    write("models/trouble/trouble.sh", SCRIPT);
    write(".gitignore", ".modelship/\n");
}

/// Every execution of a run with `MARK`, as `MODE N`, sorted, by what the model itself wrote down.
pub(crate) fn executed(state: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(state.join("executed.txt")).unwrap_or_default();
    let mut executed: Vec<String> = text.lines().map(str::to_owned).collect();
    executed.sort_unstable();
    executed
}
