//! Whether a program can run in any image: it must be static and of the image's architecture.

use std::path::Path;

use anyhow::Context as _;

/// How a static runner comes about, as the end of a message.
const HOW: &str = "make a static one with `scripts/build-runner` and name it in `docker.runner`";

/// The kind of program header that names an interpreter: the loader of a program that is not static.
const INTERPRETER: u32 = 3;

/// Checks that the program can run in images of `architecture`, named as Docker names it, and gives its bytes.
///
/// # Errors
/// When it cannot be read, or cannot run there; the message says how to make one that can.
pub(super) fn static_program(path: &Path, architecture: &str) -> anyhow::Result<Vec<u8>> {
    let shown = path.display();
    let bytes = fs_err::read(path).with_context(|| format!("there is no runner to put into images; {HOW}"))?;
    let found = examine(&bytes).with_context(|| format!("the runner `{shown}` is no Linux program; {HOW}"))?;
    anyhow::ensure!(
        found.interpreter == Interpreter::None,
        "the runner `{shown}` needs libraries that an image may not have; {HOW}"
    );
    anyhow::ensure!(
        found.architecture == architecture,
        "the runner `{shown}` is for {}, and the image for {architecture}; {HOW} for that architecture",
        found.architecture
    );
    Ok(bytes)
}

#[derive(Debug, PartialEq, Eq)]
enum Interpreter {
    None,
    Named,
}

#[derive(Debug, PartialEq, Eq)]
struct Program {
    architecture: String,
    interpreter: Interpreter,
}

/// Reads what matters of a 64-bit little-endian ELF file.
fn examine(bytes: &[u8]) -> Option<Program> {
    let number = |at: usize, length: usize| {
        let bytes = bytes.get(at..at.checked_add(length)?)?;
        Some(bytes.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)))
    };
    if bytes.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let architecture = match number(18, 2)? {
        0x3e => "amd64".to_owned(),
        0xb7 => "arm64".to_owned(),
        0xf3 => "riscv64".to_owned(),
        0x15 => "ppc64le".to_owned(),
        other => format!("architecture {other}"),
    };
    let headers = usize::try_from(number(32, 8)?).ok()?;
    let size = usize::try_from(number(54, 2)?).ok()?;
    let count = usize::try_from(number(56, 2)?).ok()?;
    let mut interpreter = Interpreter::None;
    for index in 0..count {
        if number(headers.checked_add(index * size)?, 4)? == u64::from(INTERPRETER) {
            interpreter = Interpreter::Named;
        }
    }
    Some(Program { architecture, interpreter })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_static_program_of_the_right_architecture_will_do() {
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        assert!(static_program(Path::new("/bin/busybox"), architecture).is_ok());
        let check = |path: &str, architecture: &str, expect: &str| {
            let error = format!("{:#}", static_program(Path::new(path), architecture).unwrap_err());
            assert!(error.contains(expect) && error.contains("scripts/build-runner"), "{error}");
        };
        check("/bin/busybox", "s390x", "and the image for s390x");
        check("/bin/sh", architecture, "needs libraries");
        check("/etc/passwd", architecture, "is no Linux program");
        check("/no/such", architecture, "there is no runner");
    }

    #[test]
    fn broken_programs_are_no_programs() {
        let busybox = fs_err::read("/bin/busybox").unwrap();
        for length in [0, 5, 6, 20, 40, 60] {
            assert_eq!(examine(&busybox[..length]), None, "{length}");
        }
        let mut far = busybox[..64].to_vec();
        far[32..40].fill(0xff);
        assert_eq!(examine(&far), None);
    }
}
