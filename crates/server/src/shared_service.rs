//! What all threads share of one service: an entry of the configuration, with its own addresses,
//! mode and limits.

use crate::access::Access;
use crate::chat::{Room, Rules};
use crate::counters::Tally;
use crate::deadlines::Limits;
use crate::options::service::{Style, WhenFull};
use crate::options::{ModeName, Options};
use crate::values::to_bytes;
use std::sync::{Arc, Mutex, PoisonError};

/// What all threads share of one service.
#[derive(Debug)]
pub(crate) struct SharedService {
    /// The name in the file; `None` for the only service of a command line.
    pub(crate) name: Option<String>,
    pub(crate) mode: ModeName,
    pub(crate) style: Style,
    pub(crate) room: Arc<Room>,
    /// The addresses of its listeners, as text.
    pub(crate) listening_on: Vec<String>,
    pub(crate) tally: Tally,
    settings: Mutex<Settings>,
}

/// The settings that a reload changes. Each loop has a copy, which it reads without a lock.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) limits: Limits,
    /// Bytes that may wait for a client before the server stops reading from it.
    pub(crate) out_soft: usize,
    /// Bytes that may wait for a client at all: `--out-hard`, and no more than `--out-total`.
    pub(crate) out_hard: usize,
    pub(crate) when_full: WhenFull,
    /// What is asked of new clients; `None` if nothing is.
    pub(crate) access: Option<Arc<Access>>,
}

impl SharedService {
    pub(crate) fn new(options: &Options, listening_on: Vec<String>) -> Arc<Self> {
        Arc::new(SharedService {
            name: options.name.clone(),
            mode: options.service.mode,
            style: options.service.style,
            room: Room::new(Rules::of(options)),
            listening_on,
            tally: Tally::default(),
            settings: Mutex::new(Settings::of(options, None)),
        })
    }

    /// Replaces the settings. Each loop copies them with [`Service::follow_settings`].
    ///
    /// [`Service::follow_settings`]: crate::service::Service::follow_settings
    pub(crate) fn change(&self, options: &Options) {
        let mut settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        *settings = Settings::of(options, Some(&settings));
        drop(settings);
        self.room.set_rules(Rules::of(options));
    }

    /// What metrics and the access log call it: the mode names the only service of a command line.
    pub(crate) fn label(&self) -> String {
        let name = self.name.clone();
        name.unwrap_or_else(|| self.mode.to_string())
    }

    pub(crate) fn settings(&self) -> Settings {
        let settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        settings.clone()
    }
}

impl Settings {
    /// The settings by these options. What clients have by the settings `before` counts by the new
    /// ones.
    fn of(options: &Options, before: Option<&Settings>) -> Self {
        let service = &options.service;
        Settings {
            limits: Limits::of(service),
            out_soft: to_bytes(service.out_soft),
            out_hard: to_bytes(service.out_hard.min(options.process.out_total)),
            when_full: service.when_full,
            access: Access::of(options, before.and_then(|before| before.access.as_deref())),
        }
    }
}

impl Rules {
    fn of(options: &Options) -> Self {
        Rules {
            waiting_max: to_bytes(options.service.out_hard),
            stored_max: to_bytes(options.process.out_total),
            raw: options.service.raw,
        }
    }
}
