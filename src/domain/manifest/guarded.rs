//! Environment variables that no parameter may set.

/// Which decide what a program loads, whom it trusts or as whom it speaks. Who writes a manifest names the parameters and
/// the command; whoever may merely give a parameter a value must not decide what is run.
const GUARDED: &[&str] = &[
    "PATH",
    "HOME",
    "TMPDIR",
    "BASH_ENV",
    "GCONV_PATH",
    "GLIBC_TUNABLES",
    "HOSTALIASES",
    "CLASSPATH",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "_JAVA_OPTIONS",
    "NODE_OPTIONS",
    "NODE_PATH",
    "NODE_EXTRA_CA_CERTS",
    "NODE_TLS_REJECT_UNAUTHORIZED",
    "RUBYOPT",
    "RUBYLIB",
    "PERLLIB",
    "R_ENVIRON",
    "R_ENVIRON_USER",
    "R_PROFILE",
    "R_PROFILE_USER",
    "R_LIBS",
    "R_LIBS_SITE",
    "R_LIBS_USER",
    "JULIA_LOAD_PATH",
    "JULIA_DEPOT_PATH",
    "JULIA_PROJECT",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "GOOGLE_APPLICATION_CREDENTIALS",
];

/// Programs look for these in either case.
const PROXIES: &[&str] = &["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];

const BEGINNINGS: &[&str] = &["LD_", "DYLD_", "PYTHON", "PERL5", "AWS_", "MODELSHIP_"];

/// Whether a parameter of that name would, as an environment variable, decide more than what a model computes.
#[must_use]
pub fn is_guarded(name: &str) -> bool {
    GUARDED.contains(&name)
        || BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
        || PROXIES.iter().any(|proxy| name.eq_ignore_ascii_case(proxy))
}
