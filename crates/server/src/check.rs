//! What clap cannot see: options that contradict each other, or that the mode has no use for.

use crate::options::{ModeName, Options};

/// Options that one mode alone has a use for.
const FOR_MODE: [(&str, ModeName); 3] = [
    ("to", ModeName::Proxy),
    ("connect_timeout", ModeName::Proxy),
    ("raw", ModeName::Chat),
];

/// Checks the options together; gives what is ignored, one sentence each. A flag without a use is an error,
/// as whoever typed it expects something of it. A variable is not: one environment often serves several
/// servers.
///
/// # Errors
/// A sentence on what is wrong.
pub(crate) fn check(options: &Options) -> Result<Vec<String>, String> {
    check_output(options)?;
    check_to(options)?;
    check_program(options)?;
    let mut ignored = Vec::new();
    for (id, mode) in FOR_MODE {
        if options.mode == mode {
            continue;
        }
        let origins = &options.origins;
        if origins.is_on_command_line(id) {
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

fn check_output(options: &Options) -> Result<(), String> {
    let soft = options.origins.setting("out_soft");
    if options.out_soft.as_u64() == 0 {
        return Err(format!("{soft} would never read: give at least 1 byte"));
    }
    if options.out_total.as_u64() == 0 {
        let total = options.origins.setting("out_total");
        return Err(format!("{total} would close every client that has to wait"));
    }
    if options.out_hard < options.out_soft {
        let hard = options.origins.setting("out_hard");
        return Err(format!(
            "{hard} is less than {soft}: a connection would be closed before it is paused"
        ));
    }
    Ok(())
}

fn check_to(options: &Options) -> Result<(), String> {
    if options.mode == ModeName::Proxy && options.to.is_empty() {
        let mode = options.origins.setting("mode");
        return Err(format!(
            "{mode} needs --to: where is each client to be connected to?"
        ));
    }
    Ok(())
}

fn check_program(options: &Options) -> Result<(), String> {
    match options.program.first() {
        Some(program) if options.mode != ModeName::Exec => Err(format!(
            "a program ({}) is for --mode exec, and this is {}",
            program.display(),
            options.origins.setting("mode")
        )),
        _ => Ok(()),
    }
}
