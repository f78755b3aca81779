//! What `make install`, the Debian package and the image install: it is complete, and it works.

mod harness;

use harness::client::{connect, echo};
use harness::process::Process;
use harness::server::Server;
use harness::skip;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

const PACKAGING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging");

/// True if the program is there; else a line says why the test is skipped.
fn has(program: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output();
    let has = found.is_ok_and(|output| output.status.success());
    if !has {
        skip(&format!("{program} is not installed"));
    }
    has
}

#[track_caller]
fn output_of(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    output
}

#[track_caller]
fn text_of(command: &mut Command) -> String {
    String::from_utf8(output_of(command).stdout).unwrap()
}

/// An installation in a directory of its own.
struct Installed {
    directory: TempDir,
}

impl Installed {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut install = Command::new(format!("{PACKAGING}/install"));
        install
            .arg(env!("CARGO_BIN_EXE_oneloop"))
            .arg(directory.path())
            .arg("/usr");
        output_of(&mut install);
        Installed { directory }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join("usr").join(file)
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap()
    }
}

#[test]
fn an_installation_has_the_program_pages_completions_and_units() {
    let installed = Installed::new();
    for (file, mode) in [
        ("bin/oneloop", 0o755),
        ("share/man/man1/oneloop.1", 0o644),
        ("share/man/man1/oneloop-man.1", 0o644),
        ("share/bash-completion/completions/oneloop", 0o644),
        ("share/zsh/site-functions/_oneloop", 0o644),
        ("share/fish/vendor_completions.d/oneloop.fish", 0o644),
        ("lib/systemd/system/oneloop.service", 0o644),
        ("lib/systemd/system/oneloop.socket", 0o644),
    ] {
        let found = fs::metadata(installed.path(file)).expect(file);
        assert_eq!(found.permissions().mode() & 0o777, mode, "{file}");
    }
    let unit = installed.read("lib/systemd/system/oneloop.service");
    assert!(unit.contains("ExecStart=/usr/bin/oneloop\n"), "{unit}");
}

#[test]
fn the_pages_render_without_a_warning_and_name_every_flag() {
    if !has("man") {
        return;
    }
    let installed = Installed::new();
    let pages = fs::read_dir(installed.path("share/man/man1")).unwrap();
    for page in pages.map(|page| page.unwrap().path()) {
        let mut man = Command::new("man");
        man.args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8"])
            .arg(&page);
        man.env("MANWIDTH", "80")
            .env("MANROFFSEQ", "")
            .env("LC_ALL", "C.UTF-8");
        let output = output_of(&mut man);
        let warnings = String::from_utf8_lossy(&output.stderr);
        assert!(warnings.is_empty(), "{}: {warnings}", page.display());
    }
    let page = installed
        .read("share/man/man1/oneloop.1")
        .replace("\\-", "-");
    let help = text_of(Command::new(installed.path("bin/oneloop")).arg("--help"));
    let flags = help
        .split_whitespace()
        .filter(|word| word.starts_with("--"));
    for flag in flags.map(|flag| flag.trim_matches(|c: char| !c.is_alphanumeric() && c != '-')) {
        assert!(page.contains(flag), "{flag} is not in the page");
    }
    // The examples keep their columns.
    assert!(page.contains(".nf\n"), "{page}");
}

/// What bash offers for the last of these words.
fn completed(installed: &Installed, words: &[&str]) -> Vec<String> {
    let script = installed.path("share/bash-completion/completions/oneloop");
    let (last, before) = words.split_last().unwrap();
    let asks = format!(
        "source '{}'; COMP_WORDS=({}); COMP_CWORD={}; _oneloop oneloop '{last}' '{}'; \
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.display(),
        words
            .iter()
            .map(|word| format!("'{word}' "))
            .collect::<String>(),
        words.len() - 1,
        before.last().unwrap(),
    );
    let offered = text_of(Command::new("bash").args(["-c", &asks]));
    offered.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_flags_their_values_and_commands() {
    if !has("bash") {
        return;
    }
    let installed = Installed::new();
    let contains = |words: &[&str], offer: &str| {
        let offers = completed(&installed, words);
        assert!(
            offers.iter().any(|other| other == offer),
            "{words:?}: {offers:?}"
        );
    };
    contains(&["oneloop", "--lis"], "--listen");
    contains(&["oneloop", "--mode", "ch"], "chat");
    contains(&["oneloop", "comp"], "completions");
    contains(&["oneloop", "completions", "z"], "zsh");
}

#[test]
fn a_closed_pipe_does_not_make_the_manual_fail() {
    let program = env!("CARGO_BIN_EXE_oneloop");
    for command in ["man", "completions bash"] {
        let script =
            format!("'{program}' {command} | head -c 1 >/dev/null; echo ${{PIPESTATUS[0]}}");
        let code = text_of(Command::new("bash").args(["-c", &script]));
        assert_eq!(code.trim(), "0", "{command}");
    }
    let unknown = Command::new(program)
        .args(["completions", "tcsh"])
        .output()
        .unwrap();
    assert_eq!(unknown.status.code(), Some(2));
    let unwritable = Command::new(program)
        .args(["man", "--dir", "/nowhere"])
        .output()
        .unwrap();
    assert_eq!(unwritable.status.code(), Some(1));
    let said = String::from_utf8_lossy(&unwritable.stderr).into_owned();
    assert!(
        said.starts_with("error: cannot write /nowhere/oneloop.1: "),
        "{said}"
    );
}

#[test]
fn systemd_takes_the_units_and_finds_them_hardened() {
    if !has("systemd-analyze") {
        return;
    }
    let installed = Installed::new();
    let unit = |name| installed.path("lib/systemd/system").join(name);
    let service = fs::read_to_string(unit("oneloop.service")).unwrap();
    // systemd-analyze looks for the program at its path.
    let program = installed.path("bin/oneloop");
    let here = service.replace("/usr/bin/oneloop", program.to_str().unwrap());
    fs::write(unit("oneloop.service"), here).unwrap();
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no", "--recursive-errors=no"]);
    let verified = verify
        .arg(unit("oneloop.service"))
        .arg(unit("oneloop.socket"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&verified.stderr);
    let ours: Vec<_> = said
        .lines()
        .filter(|line| line.contains("oneloop"))
        .collect();
    assert!(ours.is_empty(), "{ours:?}");
    let mut security = Command::new("systemd-analyze");
    security.args(["security", "--offline=yes", "--no-pager", "--threshold=20"]);
    let exposure = text_of(security.arg(unit("oneloop.service")));
    assert!(
        exposure.contains("Overall exposure level for oneloop.service"),
        "{exposure}"
    );
}

#[test]
fn the_debian_package_has_what_an_installation_has() {
    if !has("dpkg-deb") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut build = Command::new(format!("{PACKAGING}/debian/build"));
    build
        .arg(env!("CARGO_BIN_EXE_oneloop"))
        .arg(directory.path());
    output_of(&mut build);
    let files = fs::read_dir(directory.path()).unwrap();
    let packages: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    let [package] = &packages[..] else {
        panic!("{packages:?}")
    };
    let control = text_of(Command::new("dpkg-deb").arg("--info").arg(package));
    for line in [
        "Package: oneloop",
        "Depends: libc6 (>= 2.",
        "Maintainer: ",
        "Architecture: ",
    ] {
        assert!(control.contains(line), "{control}");
    }
    let conffiles = ["--info", package.to_str().unwrap(), "conffiles"];
    assert_eq!(
        text_of(Command::new("dpkg-deb").args(conffiles)),
        "/etc/default/oneloop\n"
    );
    let contents = text_of(Command::new("dpkg-deb").arg("--contents").arg(package));
    let private: Vec<_> = contents
        .lines()
        .filter(|line| !line[7..].starts_with("r-"))
        .collect();
    assert!(private.is_empty(), "other users cannot read {private:?}");
    for file in [
        "./usr/bin/oneloop",
        "./usr/share/man/man1/oneloop.1.gz",
        "./usr/lib/systemd/system/oneloop.service",
        "./usr/share/doc/oneloop/copyright",
        "./etc/default/oneloop",
    ] {
        let line = contents
            .lines()
            .find(|line| line.ends_with(file))
            .expect(file);
        assert!(line.contains("root/root"), "{line}");
    }
    let unpacked = directory.path().join("unpacked");
    output_of(
        Command::new("dpkg-deb")
            .arg("--extract")
            .arg(package)
            .arg(&unpacked),
    );
    let version = text_of(Command::new(unpacked.join("usr/bin/oneloop")).arg("--version"));
    assert!(version.starts_with("oneloop "), "{version}");
}

#[test]
fn the_static_program_serves_in_an_empty_directory_without_root() {
    let Some(program) = static_program() else {
        return skip("there is no static program: `make static` builds it");
    };
    let allowed = Command::new("unshare").args(["-r", "true"]).status();
    if !allowed.is_ok_and(|status| status.success()) {
        return skip("this system allows no user namespaces");
    }
    let root = tempfile::tempdir().unwrap();
    fs::copy(program, root.path().join("oneloop")).unwrap();
    let mut chroot = Command::new("unshare");
    chroot.args(["-r", "chroot"]).arg(root.path());
    chroot.args(["/oneloop", "--listen", "127.0.0.1:0"]);
    let server = Server::from_process(Process::start(chroot));
    echo(&connect(server.addr()), b"from nowhere");
    server.finish();
}

/// The static program that `make static` has built, with the tests or on its own.
fn static_program() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_BIN_EXE_oneloop"))
        .ancestors()
        .nth(2)?;
    let program = target.join("x86_64-unknown-linux-musl/release/oneloop");
    program.exists().then_some(program)
}

#[test]
fn the_image_holds_the_program_alone_and_does_not_run_as_root() {
    let lines = fs::read_to_string(format!("{PACKAGING}/container/Containerfile")).unwrap();
    let lines: Vec<_> = lines
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    assert_eq!(lines[0], "FROM scratch");
    assert!(lines.contains(&"USER 65534:65534"));
    let variables = lines.iter().filter_map(|line| line.strip_prefix("ENV "));
    let mut check = Command::new(env!("CARGO_BIN_EXE_oneloop"));
    check.arg("check");
    for (name, value) in variables.filter_map(|variable| variable.split_once('=')) {
        check.env(name, value);
    }
    output_of(&mut check);
}
