//! `oneloop inspect`: the inspector's page in a terminal.

mod feed;
mod screen;

use crate::endpoint::Endpoint;
use crate::messages::print;
use clap::{Arg, Command};
use feed::{Feed, News, Way};
use oneloop::net::Addr;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use screen::{Asks, Screen};
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

const DETAILS: &str = "\
A server that was started with --admin and no address listens on the abstract socket of its process,
which this finds by the PID. Only the server's user and root may connect.

Keys: q ends; Tab shows the next loop; h holds it, Space lets it take a turn, s shows it in slow
motion, f frees it; up and down choose a connection, p pauses or resumes it, c closes it.";

/// The longest wait for a key, so that news is shown soon.
const KEY_MAX: Duration = Duration::from_millis(50);

pub(crate) fn command() -> Command {
    Command::new("inspect")
        .bin_name("oneloop inspect")
        .about("Show the loops of a server in this terminal, live")
        .after_help(DETAILS)
        .arg(
            Arg::new("server")
                .value_name("PID|ADDR")
                .required(true)
                .help("The process of the server, or the address of its --admin"),
        )
        .arg(
            Arg::new("token")
                .long("admin-token")
                .value_name("TOKEN")
                .env("ONELOOP_ADMIN_TOKEN")
                .hide_env_values(true)
                .help("What that address requires"),
        )
}

/// Shows the server of this command line until a key ends it.
pub(crate) fn run(args: &[OsString]) -> ExitCode {
    let matches = match command().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) => error.exit(),
    };
    let text = |id: &str| matches.get_one::<String>(id).cloned();
    let server = text("server").unwrap_or_default();
    let Some(addr) = addr_of(&server) else {
        let why = Endpoint::what_is_wrong(&server);
        return fail(2, format!("'{server}' is no PID and no address: {why}"));
    };
    if !io::stdout().is_terminal() {
        return fail(2, "standard output is no terminal".to_owned());
    }
    let way = Way {
        addr,
        token: text("token"),
    };
    let feed = match Feed::open(&way) {
        Ok(feed) => feed,
        Err(error) => return fail(1, explain(&server, &way.addr, &error)),
    };
    match show(&way, &feed) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(end)) => fail(1, end),
        Err(error) => fail(1, format!("the terminal fails: {error}")),
    }
}

fn fail(code: u8, problem: String) -> ExitCode {
    print("error", problem);
    ExitCode::from(code)
}

/// The address that a PID or an address means.
fn addr_of(server: &str) -> Option<Addr> {
    // A number is a PID here, as with kill(1): a port alone needs a colon, as in :9000.
    if server.parse::<u32>().is_ok() {
        return Some(Addr::UnixAbstract(format!("oneloop-{server}").into_bytes()));
    }
    match Endpoint::parse(server)? {
        Endpoint::Addrs(addrs) => addrs.into_iter().next(),
        Endpoint::Name(..) => None,
    }
}

fn explain(server: &str, addr: &Addr, error: &io::Error) -> String {
    match addr {
        Addr::UnixAbstract(_) if error.kind() == io::ErrorKind::ConnectionRefused => format!(
            "no server listens for operators in process {server}: start it with --admin, in this \
             network namespace"
        ),
        _ => format!("cannot inspect {addr}: {error}"),
    }
}

/// Draws the news until a key or the server ends it. Returns why the server has ended.
fn show(way: &Way, feed: &Feed) -> io::Result<Option<String>> {
    let mut terminal = ratatui::try_init()?;
    let mut screen = Screen::default();
    let ended = loop {
        while let Some(news) = feed.next() {
            match news {
                News::Event(name, data) => screen.note(&name, data),
                News::Ended(why) => screen.ended = Some(why),
            }
        }
        if let Some(why) = screen.ended.take() {
            break Ok(Some(why));
        }
        if let Err(error) = terminal.draw(|frame| screen.draw(frame)) {
            break Err(error);
        }
        match key() {
            Ok(Some(KeyCode::Char('q'))) => break Ok(None),
            Ok(Some(key)) => {
                if let Some(Asks(path)) = screen.press(key) {
                    screen.said = feed::post(way, &path).err().map(|error| error.to_string());
                }
            }
            Ok(None) => {}
            Err(error) => break Err(error),
        }
    };
    ratatui::restore();
    ended
}

/// The next key, if one is pressed soon. Ctrl-C is `q`.
fn key() -> io::Result<Option<KeyCode>> {
    if !event::poll(KEY_MAX)? {
        return Ok(None);
    }
    Ok(match event::read()? {
        Event::Key(key) if key.kind == KeyEventKind::Release => None,
        Event::Key(key) if key.modifiers.contains(KeyModifiers::CONTROL) => {
            (key.code == KeyCode::Char('c')).then_some(KeyCode::Char('q'))
        }
        Event::Key(key) => Some(key.code),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_well_formed_and_a_number_is_a_process() {
        command().debug_assert();
        assert_eq!(
            addr_of("12"),
            Some(Addr::UnixAbstract(b"oneloop-12".into()))
        );
        assert_eq!(addr_of(":9000").unwrap().to_string(), "127.0.0.1:9000");
        assert_eq!(
            addr_of("unix:/run/a.sock").unwrap().to_string(),
            "unix:/run/a.sock"
        );
        assert_eq!(addr_of("nonsense"), None);
    }
}
