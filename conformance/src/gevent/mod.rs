//! The programs of `conformance/gevent`, by the names of their Python twins.

mod spawning;

use crate::{Program, Suite};

pub(crate) const PROGRAMS: Suite = &[("01_spawn_order", Program::Green(spawning::spawn_order))];
