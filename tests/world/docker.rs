//! Settings of a server whose models are images and whose runs are containers.

/// What `scripts/with-docker` says.
pub(crate) fn given(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; run this through scripts/with-docker"))
}

/// The lines of the settings; images are named below `place`.
pub(crate) fn docker_settings(place: &str) -> String {
    format!(
        "executor: docker\ndocker: {{host: \"{}\", runner: \"{}\", registry: \"{}/{place}\", build_network: host, \
         build_args: {{BASE: modelship-test/debian}}}}\n",
        given("MODELSHIP_TEST_DOCKER_HOST"),
        given("MODELSHIP_TEST_RUNNER"),
        given("MODELSHIP_TEST_REGISTRY"),
    )
}
