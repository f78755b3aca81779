//! Which parts of the server this build has. A part is a cargo feature, and what it adds to the
//! command line exists only with it.

/// A part that a build may leave out.
struct Part {
    /// The cargo feature.
    name: &'static str,
    is_built: bool,
    /// The flags and commands that it adds.
    adds: &'static [&'static str],
}

const PARTS: [Part; 6] = [
    Part {
        name: "access",
        is_built: cfg!(feature = "access"),
        adds: &[
            "--accept-rate",
            "--allow",
            "--deny",
            "--group",
            "--handshake-timeout",
            "--max-per-source",
            "--proxy-from",
            "--proxy-protocol",
            "--rate-per-source",
            "--send-proxy",
            "--socket-mode",
            "--socket-owner",
            "--source-bits",
            "--user",
        ],
    },
    Part {
        name: "admin",
        is_built: cfg!(feature = "admin"),
        adds: &[
            "--access-log",
            "--access-log-format",
            "--admin",
            "--admin-token",
            "--trace-file",
        ],
    },
    Part {
        name: "config",
        is_built: cfg!(feature = "config"),
        adds: &["--config", "check"],
    },
    Part {
        name: "inspect",
        is_built: cfg!(feature = "inspect"),
        adds: &["inspect"],
    },
    Part {
        name: "manual",
        is_built: cfg!(feature = "manual"),
        adds: &["completions", "man"],
    },
    Part {
        name: "systemd",
        is_built: cfg!(feature = "systemd"),
        adds: &["--restart-timeout"],
    },
];

/// A tip for a flag or a command that this build leaves out.
pub(crate) fn tip(flag_or_command: &str) -> Option<String> {
    let name = flag_or_command.split('=').next()?;
    let left_out = PARTS.iter().filter(|part| !part.is_built);
    let part = left_out.clone().find(|part| part.adds.contains(&name))?;
    Some(format!(
        "this build leaves '{name}' out: build the server with the feature '{}', as make does",
        part.name
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tip_names_the_feature_of_what_is_left_out() {
        for part in &PARTS {
            for added in part.adds {
                let tip = tip(&format!("{added}=1"));
                assert_eq!(tip.is_none(), part.is_built, "{tip:?}");
                let named = tip.is_none_or(|tip| tip.contains(&format!("'{}'", part.name)));
                assert!(named, "{added}");
            }
        }
        assert_eq!(tip("--listen"), None);
    }
}
