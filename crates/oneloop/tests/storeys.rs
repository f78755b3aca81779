//! Imports point down: between the crates, and between the files of each crate that has storeys.
//!
//! A table lists the storeys of a crate, lowest first, one a line: a name, a colon, and the files
//! in it. A file stands there by its path in `src` without `.rs`; `folder/` stands for every file
//! below it that has no line of its own. The crate's root (`lib.rs`, `main.rs`) is above all
//! storeys. A file may import from its own storey and from those below, and no chain of imports may
//! lead back to the file where it began. Only in a storey whose name ends in `*` the files may
//! import each other in circles.
//!
//! An import is any path that leads to another file, in a `use` or elsewhere; code for tests is
//! left out. A re-export counts for the file that defines the name. What the compiler resolves by
//! type, such as a method call, is not seen.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::path::Path;
use std::{fs, iter};
use syn::buffer::{Cursor, TokenBuffer};
use syn::visit::{self, Visit};
use syn::{Attribute, Field, ImplItem, Item, ItemUse, Macro, Stmt, UseTree, Visibility};

/// Which crate may depend on which: only on those in the lines above its own.
const CRATES: &str = "
    system:     posix macros
    loop:       core
    libuv:      uv
    on tasks:   sync net monitor tracing
    on sockets: fs process cluster tls
    styles:     callback green aio
    windows:    inspector
    facade:     oneloop
    contexts:   tokio
    programs:   server bench models torture ecosystem fuzz
";

#[test]
fn each_crate_depends_only_on_those_below_it() {
    let manifests = manifests(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")));
    assert_none(upward_dependencies(&manifests, CRATES));
}

#[test]
fn the_files_of_posix_stand_in_storeys() {
    assert_storeys(
        "posix",
        "
        system calls: action address concurrency fork inherited send_room unavailable
        lists:        seats
        handlers:     handler fault
        on handlers:  alternate_stack signal
        ",
    );
}

#[test]
fn the_files_of_core_stand_in_storeys() {
    assert_storeys(
        "core",
        "
        mechanisms: mechanisms/
        tasks:      tasks/
        state:      state
        operations: operations/
        loop:       event_loop event_loop/
        on loops:   chaos
        ",
    );
}

#[test]
fn the_files_of_sync_stand_in_storeys() {
    assert_storeys(
        "sync",
        "
        lines:          waiters order turnstile gate sides blocking
        primitives:     queue_state event queue one_shot semaphore channel receiver_stream shutdown_token notify barrier rwlock
        on semaphores:  rlock mutex condition resource_pool once_cell
        for all:        watch broadcast
        across threads: distant distant_channel
        ",
    );
}

#[test]
fn the_files_of_cluster_stand_in_storeys() {
    assert_storeys(
        "cluster",
        "
        mechanisms:  loads pin
        shared:      shared
        of one loop: loop_state
        listening:   shared_listener connection listener
        all loops:   cluster
        each loop:   member
        on members:  mesh threads
        life:        run
        ",
    );
}

#[test]
fn the_files_of_process_stand_in_storeys() {
    assert_storeys(
        "process",
        "
        system calls: family pidfd execute
        processes:    orphans before_exec process
        children:     output child communicate
        commands:     command
        ",
    );
}

#[test]
fn the_files_of_bench_stand_in_storeys() {
    assert_storeys(
        "bench",
        "
        tools:        cores launch progress spread contenders tasks/job process connection
        programs:     program comparators/ comparators tasks/ tasks web/ web flood load report
        tables:       memory_row strace
        command line: cli
        servers:      listening callgrind server sample bench
        benchmarks:   count count/ echo fair green http http/ idle syscalls
        ",
    );
}

#[test]
fn the_files_of_uv_stand_in_storeys() {
    assert_storeys(
        "uv",
        "
        tools:     error wtf8 ring system metrics abi/fd abi/mask abi/message abi/pool abi/time
        the loop*: abi/live abi/memory abi/buffers abi/guess abi/stat abi/terminal layout layout/ state watch mail call handle timer phase asynchronous poll signals children files stat_watch jobs queue stream stream_turn udp udp_turn pipe tcp tty abi/packets
        turns:     run
        exports:   abi/text abi/users abi/
        ",
    );
}

#[test]
fn the_files_of_torture_stand_in_storeys() {
    assert_storeys(
        "torture",
        "
        tools:      cli faults trace traced clients upstream
        what runs:  scenario
        one run:    case
        judging:    verdict
        exceptions: exceptions
        all runs:   plan torture
        ",
    );
}

#[test]
fn the_files_of_fs_stand_in_storeys() {
    assert_storeys(
        "fs",
        "
        jobs:      buffer cached job
        files:     opened access file
        names:     names open whole read_dir temp
        to watch:  watch/change watch/look watch/tree watch/moves watch/pending watch/state
        watchers:  watch/events watch/looks watch/
        ",
    );
}

#[test]
fn the_files_of_net_stand_in_storeys() {
    assert_storeys(
        "net",
        "
        mechanisms:       backoff buffer datagram frame_splitter keepalive line_splitter malformed shared_job splice
        names:            resolve addr target
        byte streams:     stream lines frames socket owned_halves connecting pipe tty stdio/
        moving bytes:     copy relay send_file
        accepting:        listener connect
        families:         tcp udp/ unix/
        as methods:       inherent foreign_traits
        ",
    );
}

#[test]
fn the_files_of_callback_stand_in_storeys() {
    assert_storeys(
        "callback",
        "
        errors:      error thrown milliseconds
        callbacks:   continuation events tables
        mechanisms:  runtime/bell runtime/tick runtime/parts runtime/later_turn
        queues:      runtime/timer_lists runtime/immediate_queue runtime/microtask_queue
        more queues: runtime/poll_queues runtime/process
        runtime:     runtime/
        on it:       ends timers immediates microtasks offload fd_watch perf_hooks drive program
        to give up:  abort timers/promises
        streams*:    stream/
        sockets*:    net/
        http*:       http/
        modules:     child_process/ dgram/ dns fs/ process
        ",
    );
}

#[test]
fn the_files_of_green_stand_in_storeys() {
    assert_storeys(
        "green",
        "
        mechanisms:   cleanup deadlock links name outcome stack switch thread_end token unwind unwinder
        one thread:   record/
        on its stack: current finished overflow wait
        its handles:  body join_handle queued spawn thread
        many threads: group imap join local permits pile pool run scope signal time
        operations:   fs/ net/ process stdio
        eventlet:     eventlet
        ",
    );
}

#[test]
fn the_files_of_tls_stand_in_storeys() {
    assert_storeys(
        "tls",
        "
        files:     pem
        trust:     identity roots
        streams:   transport stream inherent foreign_traits
        both ends: handshake identities
        the ends:  acceptor connector
        ",
    );
}

#[test]
fn the_files_of_tokio_stand_in_storeys() {
    assert_storeys(
        "tokio",
        "
        contexts: enter block_on
        ",
    );
}

#[test]
fn the_files_of_aio_stand_in_storeys() {
    assert_storeys(
        "aio",
        "
        locals:    context task_local deadline
        names:     task time signal ready local local_io
        for hyper: hyper hyper_connector
        mechanism: woken race
        on it:     collection join select join_set scope task_tracker
        servers:   graceful_shutdown
        ",
    );
}

#[test]
fn the_files_of_inspector_stand_in_storeys() {
    assert_storeys(
        "inspector",
        "
        messages:   answer asked connections gate places
        on them:    access routes trace/
        of a loop:  options recording
        loops:      probe
        sentences:  advice record
        frames:     frame
        watching:   watch
        one client: connection page
        the thread: admin
        ",
    );
}

#[test]
fn the_files_of_macros_stand_in_storeys() {
    assert_storeys(
        "macros",
        "
        mistakes: fault
        reading:  function options
        ",
    );
}

#[test]
fn the_files_of_server_stand_in_storeys() {
    assert_storeys(
        "server",
        "
        mechanisms:  access/accounts access/networks access/rate admin/family admin/os admin/probe admin/sample adopted chat/ endpoint failure features holder introduction keepalive line_writer messages nearest notice open_files permissions process_stat refusals section stop systemd/manager values waiters
        passing:     systemd/all_loops systemd/passed systemd/predecessor systemd/roll_call systemd/successor
        on them:     access/list access/owner access/proxy_header access/sources budget
        options:     options/ origins
        access:      access/reading access/identity access/ no_access
        by options:  bind check client_notes clients config_file configuration deadlines logging mode output socket_file upstream
        logs:        access_log close_reason counters no_access_log notices reports self_connect
        shared:      server service shared_service
        one client:  conversation callback_client client program
        its peer:    peer work
        drivers:     callbacks connection piped relayed
        styles:      green task
        before it:   handshake
        dispatch:    dispatch plan
        one loop:    limits serving_loop
        asking:      inspect
        acceptors:   acceptor admin/connections systemd/loops
        operators:   admin/ no_admin
        process:     systemd/ no_systemd
        life:        commands/ reload serve
        ",
    );
}

/// Asserts that the imports of a crate of this workspace point down, and never in a circle.
fn assert_storeys(name: &str, table: &str) {
    let src = format!("{}/../{name}/src", env!("CARGO_MANIFEST_DIR"));
    assert_none(Crate::new(Sources::read(Path::new(&src))).problems(table));
}

#[track_caller]
fn assert_none(problems: Vec<String>) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

// ---------------------------------------------------------------- storeys

/// A table of storeys, lowest first.
struct Storeys {
    names: Vec<String>,
    /// The storey of each file, or `folder/`.
    of: BTreeMap<String, usize>,
}

impl Storeys {
    fn parse(table: &str) -> Self {
        let (mut names, mut of) = (Vec::new(), BTreeMap::new());
        for line in table.lines().filter(|line| !line.trim().is_empty()) {
            let (name, members) = line.split_once(':').expect("a line is `name: files`");
            for member in members.split_whitespace() {
                let before = of.insert(member.to_owned(), names.len());
                assert_eq!(before, None, "{member} is listed twice");
            }
            names.push(name.trim().to_owned());
        }
        Storeys { names, of }
    }

    /// The storey of a file: its own line's, or that of the innermost folder that has one.
    fn of(&self, file: &str) -> Option<usize> {
        let folders = file.rmatch_indices('/').map(|(end, _)| &file[..=end]);
        iter::once(file)
            .chain(folders)
            .find_map(|name| self.of.get(name).copied())
    }
}

// ---------------------------------------------------------------- crates

/// Each crate's dependencies of this workspace, by their names without `oneloop-`.
fn manifests(crates: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let folders = fs::read_dir(crates).unwrap().map(|entry| entry.unwrap());
    let texts = folders.filter_map(|folder| {
        let text = fs::read_to_string(folder.path().join("Cargo.toml")).ok()?;
        Some((folder.file_name().into_string().unwrap(), text))
    });
    texts
        .map(|(name, text)| (name, dependencies(&text)))
        .collect()
}

/// What tests depend on (`dev-dependencies`) is no part of the crate.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let section = manifest
        .split("\n[")
        .find(|section| section.starts_with("dependencies]"));
    let lines = section.unwrap_or_default().lines();
    let names = lines.filter_map(|line| line.split(['.', ' ', '=']).next());
    let ours = names.filter(|name| name.starts_with("oneloop"));
    ours.map(|name| name.strip_prefix("oneloop-").unwrap_or(name).to_owned())
        .collect()
}

fn upward_dependencies(manifests: &BTreeMap<String, BTreeSet<String>>, table: &str) -> Vec<String> {
    let storeys = Storeys::parse(table);
    let mut problems = Vec::new();
    for (name, dependencies) in manifests {
        let Some(own) = storeys.of(name) else {
            problems.push(format!("the crate `{name}` is in no storey"));
            continue;
        };
        for other in dependencies {
            if storeys.of(other).is_none_or(|other| other >= own) {
                problems.push(format!(
                    "`{name}` depends on `{other}`, which is not below it"
                ));
            }
        }
    }
    problems
}

// ---------------------------------------------------------------- the files of a crate

/// The text of each file below `src`, by its path there.
struct Sources(BTreeMap<String, String>);

impl Sources {
    fn read(src: &Path) -> Self {
        let mut files = BTreeMap::new();
        let mut folders = vec![src.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let name = path.strip_prefix(src).unwrap().to_str().unwrap();
                    files.insert(name.to_owned(), fs::read_to_string(&path).unwrap());
                }
            }
        }
        Sources(files)
    }
}

/// A name as it is written, with its segments: `crate::slots::Key`.
type Segments = Vec<String>;

/// One `mod`: a file, or a block in one.
#[derive(Default)]
struct Module {
    file: String,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    items: BTreeSet<String>,
    /// What each `use` brings in.
    aliases: BTreeMap<String, Segments>,
    globs: Vec<Segments>,
    /// Names that are passed on (`pub use`): they are imports only where this module uses them.
    passed_on: BTreeSet<String>,
    /// Each path in the module's code, with the name that it is written by.
    paths: Vec<Segments>,
    /// Each path that the module passes on.
    passed_on_paths: Vec<Segments>,
    /// The macros that it calls by a name alone.
    macros: BTreeSet<String>,
}

/// Where a path leads.
#[derive(Clone, Copy, PartialEq)]
enum Target {
    Module(usize),
    /// Something that this module defines.
    ItemOf(usize),
}

/// The modules of a crate; the first one is its root.
struct Crate {
    modules: Vec<Module>,
    /// The file that defines each `macro_rules!` macro.
    macro_files: BTreeMap<String, String>,
}

/// The imports of each file: the files that they lead to, with the path as it is written.
type Imports = BTreeMap<String, BTreeMap<String, String>>;

impl Crate {
    fn new(sources: Sources) -> Self {
        let root = ["lib.rs", "main.rs"];
        let root = root.into_iter().find(|root| sources.0.contains_key(*root));
        let mut result = Crate {
            modules: Vec::new(),
            macro_files: BTreeMap::new(),
        };
        result.load(&sources, root.expect("a crate has a root"), "", None);
        result
    }

    /// Reads a file and the modules below it. `folder` is where those are.
    fn load(
        &mut self,
        sources: &Sources,
        file: &str,
        folder: &str,
        parent: Option<usize>,
    ) -> usize {
        let text = &sources.0[file];
        let items = syn::parse_file(text)
            .unwrap_or_else(|error| panic!("{file}: {error}"))
            .items;
        self.add_module(sources, file, folder, parent, &items)
    }

    fn add_module(
        &mut self,
        sources: &Sources,
        file: &str,
        folder: &str,
        parent: Option<usize>,
        items: &[Item],
    ) -> usize {
        let id = self.modules.len();
        self.modules.push(Module {
            file: file.to_owned(),
            parent,
            ..Module::default()
        });
        let mut reader = Reader::default();
        items.iter().for_each(|item| reader.visit_item(item));
        for item in items {
            let Item::Mod(module) = item else { continue };
            if is_for_tests(&module.attrs) {
                continue;
            }
            let name = module.ident.to_string();
            let below = format!("{folder}{name}/");
            let child = match &module.content {
                Some((_, items)) => self.add_module(sources, file, &below, Some(id), items),
                None => {
                    let files = [format!("{folder}{name}.rs"), format!("{below}mod.rs")];
                    let found = files.iter().find(|file| sources.0.contains_key(*file));
                    let found = found.unwrap_or_else(|| panic!("{file}: no file for mod {name}"));
                    self.load(sources, found, &below, Some(id))
                }
            };
            self.modules[id].children.insert(name, child);
        }
        for name in reader.macros_defined {
            self.macro_files.insert(name, file.to_owned());
        }
        let module = &mut self.modules[id];
        let Module {
            file,
            parent,
            children,
            ..
        } = std::mem::take(module);
        *module = Module {
            file,
            parent,
            children,
            ..reader.module
        };
        id
    }

    /// Where a path leads; `None` for one that leads out of the crate, or to a local name.
    fn resolve(&self, from: usize, path: &[String], depth: usize) -> Option<Target> {
        let (first, rest) = path.split_first()?;
        let mut at = match first.as_str() {
            _ if depth > 16 => return None, // a name that stands for itself: `use serde::serde`
            "crate" => Target::Module(0),
            "self" => Target::Module(from),
            "super" => Target::Module(self.modules[from].parent?),
            name => self.look_up(from, name, depth)?,
        };
        for name in rest {
            let Target::Module(module) = at else { break }; // an associated item, or a variant
            at = match name.as_str() {
                "super" => Target::Module(self.modules[module].parent?),
                // Whatever a macro has made is in no list, and is this module's all the same.
                name => self
                    .look_up(module, name, depth)
                    .unwrap_or(Target::ItemOf(module)),
            };
        }
        Some(at)
    }

    fn look_up(&self, module: usize, name: &str, depth: usize) -> Option<Target> {
        let here = &self.modules[module];
        if let Some(child) = here.children.get(name) {
            return Some(Target::Module(*child));
        }
        if here.items.contains(name) {
            return Some(Target::ItemOf(module));
        }
        if let Some(path) = here.aliases.get(name) {
            return self.resolve(module, path, depth + 1);
        }
        here.globs
            .iter()
            .find_map(|path| match self.resolve(module, path, depth + 1)? {
                Target::Module(other) if other != module => self.look_up(other, name, depth + 1),
                _ => None,
            })
    }

    fn file_of(&self, target: Target) -> &str {
        let (Target::Module(module) | Target::ItemOf(module)) = target;
        &self.modules[module].file
    }

    /// What each file imports, and what it only passes on.
    fn imports(&self) -> (Imports, Imports) {
        let (mut imports, mut passed_on) = (Imports::new(), Imports::new());
        for (id, module) in self.modules.iter().enumerate() {
            let add = |paths: &[Segments], to: &mut Imports| {
                let files = to.entry(module.file.clone()).or_default();
                for path in paths {
                    let Some(target) = self.resolve(id, path, 0) else {
                        continue;
                    };
                    let file = self.file_of(target);
                    if file != module.file {
                        files
                            .entry(file.to_owned())
                            .or_insert_with(|| path.join("::"));
                    }
                }
            };
            add(&module.paths, &mut imports);
            add(&module.passed_on_paths, &mut passed_on);
            for name in &module.macros {
                if let Some(file) = self
                    .macro_files
                    .get(name)
                    .filter(|file| **file != module.file)
                {
                    let files = imports.get_mut(&module.file).expect("added above");
                    files.insert(file.clone(), format!("{name}!"));
                }
            }
        }
        (imports, passed_on)
    }

    /// Every import that points up, each file without a storey, and a circle if there is one.
    fn problems(&self, table: &str) -> Vec<String> {
        let storeys = Storeys::parse(table);
        let (imports, passed_on) = self.imports();
        let mut problems = Vec::new();
        for file in imports.keys().filter(|file| !is_root(file)) {
            if storeys.of(without_extension(file)).is_none() {
                problems.push(format!("{file} is in no storey"));
            }
        }
        for (all, verb) in [(&imports, "imports"), (&passed_on, "passes on")] {
            for (file, others) in all.iter().filter(|(file, _)| !is_root(file)) {
                for (other, path) in others {
                    problems.extend(upward(&storeys, file, other, verb, path));
                }
            }
        }
        let imports = without_free_storeys(imports, &storeys);
        problems.extend(circle(&imports).map(|circle| describe_circle(&imports, &circle)));
        problems
    }
}

fn is_root(file: &str) -> bool {
    matches!(file, "lib.rs" | "main.rs")
}

/// `net/mod.rs` is the file of `net/`, and stands with the files in it.
fn without_extension(file: &str) -> &str {
    let file = file.strip_suffix(".rs").unwrap_or(file);
    file.strip_suffix("mod")
        .filter(|folder| folder.ends_with('/'))
        .unwrap_or(file)
}

fn upward(storeys: &Storeys, file: &str, other: &str, verb: &str, path: &str) -> Option<String> {
    let own = storeys.of(without_extension(file))?;
    let name = |storey: usize| &storeys.names[storey];
    if is_root(other) {
        return Some(format!("{file} ({}) {verb} {path} of the root", name(own)));
    }
    let above = storeys
        .of(without_extension(other))
        .filter(|other| *other > own)?;
    let (own, above) = (name(own), name(above));
    Some(format!(
        "{file} ({own}) {verb} {path} of {other} ({above}), which is above it"
    ))
}

/// Leaves out the imports within a storey that may have circles.
fn without_free_storeys(mut imports: Imports, storeys: &Storeys) -> Imports {
    let free = |file: &str| {
        let storey = storeys.of(without_extension(file));
        storey.filter(|storey| storeys.names[*storey].ends_with('*'))
    };
    for (file, others) in &mut imports {
        let own = free(file);
        others.retain(|other, _| own.is_none() || free(other) != own);
    }
    imports
}

/// The shortest chain of imports that leads back to the file where it began.
fn circle(imports: &Imports) -> Option<Vec<String>> {
    let circles = imports.keys().filter_map(|start| {
        let mut before: BTreeMap<&str, &str> = BTreeMap::new();
        let mut reached = VecDeque::from([start.as_str()]);
        while let Some(file) = reached.pop_front() {
            for next in imports.get(file).into_iter().flat_map(BTreeMap::keys) {
                if next == start {
                    let chain = iter::successors(Some(file), |file| before.get(file).copied());
                    let mut chain: Vec<_> = chain.map(str::to_owned).collect();
                    chain.reverse();
                    return Some(chain);
                }
                if !before.contains_key(next.as_str()) {
                    before.insert(next, file);
                    reached.push_back(next);
                }
            }
        }
        None
    });
    circles.min_by_key(Vec::len)
}

fn describe_circle(imports: &Imports, circle: &[String]) -> String {
    let mut text = format!("a circle: {}", circle[0]);
    for (file, next) in circle.iter().zip(circle.iter().cycle().skip(1)) {
        let _ = write!(text, " -> {next} (by {})", imports[file][next]);
    }
    text
}

// ---------------------------------------------------------------- the names in a file

/// Collects what one module defines and names. It leaves out code for tests, and modules below.
#[derive(Default)]
struct Reader {
    module: Module,
    macros_defined: Vec<String>,
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let path = attribute.path();
        let is_cfg_test = path.is_ident("cfg")
            && attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|cfg| cfg.is_ident("test"));
        is_cfg_test || path.is_ident("test")
    })
}

fn name_of(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

impl Reader {
    fn add_path(&mut self, path: Segments) {
        // A name alone is a local one, unless it is passed on here.
        if path.len() > 1 || self.module.passed_on.contains(&path[0]) {
            self.module.paths.push(path);
        }
    }

    fn add_use(&mut self, tree: &UseTree, path: &mut Segments, is_passed_on: bool) {
        match tree {
            UseTree::Path(tree) => {
                path.push(tree.ident.to_string());
                self.add_use(&tree.tree, path, is_passed_on);
                path.pop();
            }
            UseTree::Group(tree) => {
                let trees = tree.items.iter();
                trees.for_each(|tree| self.add_use(tree, path, is_passed_on));
            }
            UseTree::Name(tree) if tree.ident == "self" => {
                let alias = path.last().expect("`self` ends a path").clone();
                self.add_alias(alias, path.clone(), is_passed_on);
            }
            UseTree::Name(tree) => {
                let name = tree.ident.to_string();
                let path = [path.as_slice(), std::slice::from_ref(&name)].concat();
                self.add_alias(name, path, is_passed_on);
            }
            UseTree::Rename(tree) => {
                let path = [path.as_slice(), &[tree.ident.to_string()]].concat();
                self.add_alias(tree.rename.to_string(), path, is_passed_on);
            }
            UseTree::Glob(_) => {
                self.module.globs.push(path.clone());
                self.add_import(path.clone(), is_passed_on);
            }
        }
    }

    fn add_alias(&mut self, alias: String, path: Segments, is_passed_on: bool) {
        if is_passed_on {
            self.module.passed_on.insert(alias.clone());
        }
        self.module.aliases.insert(alias, path.clone());
        self.add_import(path, is_passed_on);
    }

    fn add_import(&mut self, path: Segments, is_passed_on: bool) {
        if is_passed_on {
            self.module.passed_on_paths.push(path);
        } else {
            self.module.paths.push(path);
        }
    }

    /// The paths in what is written inside of a macro call, which has no syntax tree.
    fn add_tokens(&mut self, mut at: Cursor<'_>) {
        while !at.eof() {
            if let Some((inside, _, _, after)) = at.any_group() {
                self.add_tokens(inside);
                at = after;
            } else if let Some((first, after)) = at.ident() {
                let mut path = vec![first.to_string()];
                at = after;
                while let Some((next, after)) = next_segment(at) {
                    path.push(next);
                    at = after;
                }
                if path.len() > 1 {
                    self.add_path(path);
                }
            } else if let Some((_, after)) = at.token_tree() {
                at = after;
            } else {
                return;
            }
        }
    }
}

/// `::name`.
fn next_segment<'a>(at: Cursor<'a>) -> Option<(String, Cursor<'a>)> {
    let colon = |at: Cursor<'a>| at.punct().filter(|(colon, _)| colon.as_char() == ':');
    let (_, at) = colon(at)?;
    let (_, at) = colon(at)?;
    let (name, at) = at.ident()?;
    Some((name.to_string(), at))
}

impl Visit<'_> for Reader {
    fn visit_item(&mut self, item: &Item) {
        let attributes: &[Attribute] = match item {
            Item::Const(item) => &item.attrs,
            Item::Enum(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Macro(item) => &item.attrs,
            Item::Mod(_) => return,
            Item::Static(item) => &item.attrs,
            Item::Struct(item) => &item.attrs,
            Item::Trait(item) => &item.attrs,
            Item::Type(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            _ => &[],
        };
        if is_for_tests(attributes) {
            return;
        }
        self.module.items.extend(name_of(item));
        if let Item::Macro(item) = item
            && let Some(name) = &item.ident
        {
            self.macros_defined.push(name.to_string());
        }
        visit::visit_item(self, item);
    }

    fn visit_item_use(&mut self, item: &ItemUse) {
        let is_passed_on = !matches!(item.vis, Visibility::Inherited);
        self.add_use(&item.tree, &mut Vec::new(), is_passed_on);
    }

    fn visit_impl_item(&mut self, item: &ImplItem) {
        let is_for_tests = match item {
            ImplItem::Const(item) => is_for_tests(&item.attrs),
            ImplItem::Fn(item) => is_for_tests(&item.attrs),
            _ => false,
        };
        if !is_for_tests {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_field(&mut self, field: &Field) {
        if !is_for_tests(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    fn visit_stmt(&mut self, statement: &Stmt) {
        let is_for_tests = match statement {
            Stmt::Local(statement) => is_for_tests(&statement.attrs),
            Stmt::Macro(statement) => is_for_tests(&statement.attrs),
            _ => false,
        };
        if !is_for_tests {
            visit::visit_stmt(self, statement);
        }
    }

    fn visit_path(&mut self, path: &syn::Path) {
        if path.leading_colon.is_none() {
            let segments = path.segments.iter();
            self.add_path(segments.map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path); // types among its arguments
    }

    fn visit_macro(&mut self, call: &Macro) {
        match call.path.get_ident() {
            Some(name) => drop(self.module.macros.insert(name.to_string())),
            None => self.visit_path(&call.path),
        }
        self.add_tokens(TokenBuffer::new2(call.tokens.clone()).begin());
    }

    // `pub(super)` is no import, and an attribute is not code.
    fn visit_visibility(&mut self, _: &Visibility) {}
    fn visit_attribute(&mut self, _: &Attribute) {}
}

// ---------------------------------------------------------------- does it find what it should?

/// The problems of a made-up crate with the files `low`, `mid/`, `high`.
fn problems_of(files: &[(&str, &str)]) -> Vec<String> {
    let root = ("lib.rs", "mod high; mod low; mod mid; pub use high::High;");
    let files = iter::once(&root).chain(files);
    let files = files.map(|(file, text)| (file.to_string(), text.to_string()));
    let table = "
        bottom: low
        middle: mid/
        top:    high
    ";
    Crate::new(Sources(files.collect())).problems(table)
}

/// Files whose imports are in order.
const LOW: (&str, &str) = (
    "low.rs",
    "pub struct Low; #[cfg(test)] use crate::high::High;",
);
const MID: (&str, &str) = ("mid/mod.rs", "mod part; pub(crate) use part::Part;");
const PART: (&str, &str) = (
    "mid/part.rs",
    "pub(crate) struct Part(pub(super) crate::low::Low);",
);
const HIGH: (&str, &str) = ("high.rs", "use crate::mid::Part; pub struct High(Part);");

#[test]
fn imports_that_point_down_are_no_problem() {
    assert_eq!(problems_of(&[LOW, MID, PART, HIGH]), [] as [&str; 0]);
}

#[test]
fn an_upward_import_is_found_wherever_its_path_is_written() {
    let texts = [
        "use crate::high::High;",
        "use crate::High;", // the root passes it on
        "use super::{high::{self}};",
        "use crate::high as above; fn f() -> above::High { todo!() }",
        "fn f(_: Option<&crate::high::High>) {}",
        "fn f() { let _ = super::high::High::NEW; }",
        "fn f() { println!(\"{}\", [1, crate::high::ONE][0]); }",
        "mod inside { use super::super::high::High; }",
        "macro_rules! m { () => { $crate::high::High } }",
    ];
    for text in texts {
        let problems = problems_of(&[("low.rs", text), MID, PART, HIGH]);
        let [upward, ..] = problems.as_slice() else {
            panic!("not found: {text}");
        };
        assert!(upward.starts_with("low.rs (bottom) imports "), "{upward}");
        assert!(
            upward.ends_with(" of high.rs (top), which is above it"),
            "{upward}"
        );
    }
    let problems = problems_of(&[("low.rs", "pub use crate::mid::Part;"), MID, PART, HIGH]);
    let passes_on =
        "low.rs (bottom) passes on crate::mid::Part of mid/part.rs (middle), which is above it";
    assert_eq!(problems, [passes_on]);
}

#[test]
fn a_circle_within_a_storey_is_found() {
    let mid = (
        "mid/mod.rs",
        "mod part; mod other; mod third; pub(crate) use part::Part;",
    );
    let part = (
        "mid/part.rs",
        "pub(crate) struct Part(super::other::Other);",
    );
    let other = (
        "mid/other.rs",
        "use crate::mid::third::Third; pub(crate) struct Other(Third);",
    );
    let third = (
        "mid/third.rs",
        "pub(crate) struct Third(Box<crate::mid::Part>);",
    );
    let problems = problems_of(&[LOW, mid, part, other, third, HIGH]);
    let circle = "a circle: mid/other.rs -> mid/third.rs (by crate::mid::third::Third) \
        -> mid/part.rs (by crate::mid::Part) -> mid/other.rs (by super::other::Other)";
    assert_eq!(problems, [circle]);
}

#[test]
fn a_file_that_uses_what_it_passes_on_imports_it() {
    let mid = (
        "mid/mod.rs",
        "mod part; pub use part::Part; pub(crate) fn new() -> Part { Part }",
    );
    let part = ("mid/part.rs", "pub struct Part; fn f() { super::new(); }");
    let problems = problems_of(&[LOW, mid, part, HIGH]);
    let circle = "a circle: mid/mod.rs -> mid/part.rs (by Part) -> mid/mod.rs (by super::new)";
    assert_eq!(problems, [circle]);
}

#[test]
fn a_storey_may_allow_circles() {
    let [one, other] = ["use super::other;", "use super::one;"];
    let root = "mod folder { mod one; mod other; }";
    let files = [
        ("lib.rs", root),
        ("folder/one.rs", one),
        ("folder/other.rs", other),
    ];
    let files = files.map(|(file, text)| (file.to_owned(), text.to_owned()));
    let problems = |table| Crate::new(Sources(files.clone().into())).problems(table);
    assert_eq!(problems("strict: folder/").len(), 1);
    assert_eq!(problems("free*: folder/"), [] as [&str; 0]);
}

#[test]
fn a_file_without_a_storey_is_found() {
    let high = ("high.rs", "mod inside; pub struct High;");
    let inside = ("high/inside.rs", "use std::fmt;");
    let problems = problems_of(&[LOW, MID, PART, high, inside]);
    assert_eq!(problems, ["high/inside.rs is in no storey"]);
}

#[test]
fn a_dependency_on_a_crate_that_is_not_below_is_found() {
    let manifest = "[package]\n\n[dependencies]\noneloop-green.workspace = true # why\nlibc = \"0.2\"\n\
        \n[dev-dependencies]\noneloop.workspace = true\n";
    let crates = [("aio", dependencies(manifest)), ("green", BTreeSet::new())];
    let crates = crates
        .map(|(name, others)| (name.to_owned(), others))
        .into();
    let problems = upward_dependencies(&crates, CRATES);
    assert_eq!(
        problems,
        ["`aio` depends on `green`, which is not below it"]
    );
}
