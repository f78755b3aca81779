//! Checks that clap cannot make: options that contradict each other, or that the mode does not use.

use crate::access;
use crate::options::{ModeName, Options};
#[cfg(feature = "admin")]
use oneloop::inspector::AdminOptions;

/// Options that only one mode uses.
const FOR_MODE: &[(&str, ModeName)] = &[
    ("to", ModeName::Proxy),
    ("connect_timeout", ModeName::Proxy),
    ("raw", ModeName::Chat),
    #[cfg(feature = "access")]
    ("send_proxy", ModeName::Proxy),
];

/// Checks the options together; returns a sentence for each one that is ignored. A flag that the
/// mode does not use is an error, as its user expects an effect. A variable is not: one environment
/// often configures several servers.
///
/// # Errors
/// A sentence that says what is wrong.
pub(crate) fn check(options: &Options) -> Result<Vec<String>, String> {
    check_output(options)?;
    check_to(options)?;
    check_program(options)?;
    access::check(options)?;
    #[cfg(feature = "admin")]
    check_admin(options)?;
    let mut ignored = Vec::new();
    for &(id, mode) in FOR_MODE {
        if options.service.mode == mode {
            continue;
        }
        // clap has `requires_if`, but its message would name flags even for variables.
        let origins = &options.origins;
        if origins.is_given(id) {
            let (setting, given) = (origins.setting(id), origins.setting("mode"));
            return Err(format!(
                "{setting} is for --mode {mode}, and this is {given}"
            ));
        }
        if origins.is_in_environment(id) {
            let setting = origins.setting(id);
            ignored.push(format!("{setting} is ignored: it is for --mode {mode}"));
        }
    }
    Ok(ignored)
}

/// Options that have no effect without another one.
#[cfg(feature = "admin")]
const FOR_OPTION: [(&str, &str); 2] = [
    ("access_log_format", "access_log"),
    ("admin_token", "admin"),
];

#[cfg(feature = "admin")]
fn check_admin(options: &Options) -> Result<(), String> {
    let (admin, origins) = (&options.process.admin, &options.origins);
    for (id, needed) in FOR_OPTION {
        let has_needed = match needed {
            "admin" => admin.admin.is_some(),
            _ => admin.access_log.is_some(),
        };
        if !has_needed && origins.is_given(id) {
            // Without their values: a token is a secret.
            let (name, needed) = (origins.name(id), origins.name(needed));
            return Err(format!("{name} has no effect without {needed}"));
        }
    }
    let Some(addr) = &admin.admin else {
        return Ok(());
    };
    of_admin(options).check(addr).map_err(|problem| {
        let advice = match admin.admin_token {
            None => ": give --admin-token, or an address of this machine",
            Some(_) => "",
        };
        origins.blame("admin", format!("{problem}{advice}"))
    })
}

/// The options of the thread that answers operators.
#[cfg(feature = "admin")]
pub(crate) fn of_admin(options: &Options) -> AdminOptions {
    AdminOptions {
        token: options.process.admin.admin_token.clone(),
        ..AdminOptions::default()
    }
}

fn check_output(options: &Options) -> Result<(), String> {
    let soft = options.origins.setting("out_soft");
    if options.service.out_soft.as_u64() == 0 {
        return Err(format!(
            "{soft} would never read from a client: give at least 1 byte"
        ));
    }
    if options.process.out_total.as_u64() == 0 {
        let total = options.origins.setting("out_total");
        return Err(format!(
            "{total} would close each client for which a byte waits: give at least 1 byte"
        ));
    }
    if options.service.out_hard < options.service.out_soft {
        let hard = options.origins.setting("out_hard");
        return Err(format!(
            "{hard} is less than {soft}: a connection would be closed before reading from it is paused"
        ));
    }
    Ok(())
}

fn check_to(options: &Options) -> Result<(), String> {
    if options.service.mode == ModeName::Proxy && options.service.to.is_empty() {
        let mode = options.origins.setting("mode");
        return Err(format!(
            "{mode} needs --to: give the server to which each client is connected"
        ));
    }
    Ok(())
}

fn check_program(options: &Options) -> Result<(), String> {
    match options.service.program.first() {
        Some(program) if options.service.mode != ModeName::Exec => Err(format!(
            "a program ({}) is for --mode exec, and this is {}",
            program.display(),
            options.origins.setting("mode")
        )),
        _ => Ok(()),
    }
}
