//! The page: three files within the program, without anything from elsewhere.

use crate::answer::Answer;
use crate::probe::Loops;
use crate::record;
use crate::routes::{Routes, Shows};
use crate::watch::Watch;
use std::cell::Cell;
use std::rc::Rc;

const HTML: &str = include_str!("page/inspector.html");
const SCRIPT: &str = include_str!("page/inspector.js");
const STYLE: &str = include_str!("page/inspector.css");
const ICON: &str = include_str!("page/inspector.svg");

/// Adds the page, and what it asks for, where the program has no route of that path.
pub(crate) fn add(routes: &mut Routes, loops: &Loops, watch: &Rc<Watch>) {
    for (path, content_type, text) in [
        ("/", "text/html; charset=utf-8", HTML),
        ("/inspector.js", "text/javascript; charset=utf-8", SCRIPT),
        ("/inspector.css", "text/css; charset=utf-8", STYLE),
        ("/inspector.svg", "image/svg+xml", ICON),
    ] {
        routes.add_missing(path, Shows::Reads, move |_| async move {
            Answer::of(content_type, text)
        });
    }
    let watching = Rc::clone(watch);
    routes.add_missing("/events", Shows::Reads, move |_| {
        let answer = watching.events();
        async { answer }
    });
    let watching = Rc::clone(watch);
    routes.add_missing("/motion", Shows::Changes, move |asked| {
        let answer = watching.motion(&asked);
        async { answer }
    });
    let watching = Rc::clone(watch);
    routes.add_missing("/connection", Shows::Changes, move |asked| {
        let answer = watching.act(&asked);
        async { answer }
    });
    let (loops, is_busy) = (loops.clone(), Rc::new(Cell::new(false)));
    routes.add_missing("/trace", Shows::Reads, move |asked| {
        let (loops, is_busy) = (loops.clone(), Rc::clone(&is_busy));
        async move { record::answer(loops, &is_busy, asked).await }
    });
}
