//! The public functions that every emitter has, generated from one table per emitter.

/// The events of an emitter: for each its type, what its listeners receive, and the function that
/// adds a listener.
///
/// ```text
/// emitter! { Socket emits SocketEvent {
///     /// `'message'`: a datagram, and its sender.
///     Message(socket: Socket, bytes: &'a [u8], from: RemoteInfo) => on_message;
///     /// `'error'`: 'close' follows. Without a listener, the error is thrown.
///     Error(socket: Socket, error: &'a NodeError) => on_error, else throws error;
/// } }
/// ```
///
/// makes the types `Message` and `Error`, which implement `SocketEvent` (or only [`EmitterEvent`], if
/// there is no `emits`), and the functions `Socket::on_message` and `Socket::on_error`. These call
/// `Socket::on`, which [`listening!`] makes. The sentence of the table documents both, the type as
/// it stands and the function behind "Calls `f` on". An event without `=>` has no function;
/// `else throws` makes an event without a listener throw an argument.
///
/// With `emits SocketEvent kept as SocketListener in Kept`, the emitter keeps each listener in an
/// enum `Kept` without an allocation for an [`AnyListener`]; `SocketListener` is its public name.
///
/// [`EmitterEvent`]: crate::events::EmitterEvent
/// [`AnyListener`]: crate::events::AnyListener
macro_rules! emitter {
    ($emitter:ident { $($table:tt)* }) => {
        $crate::tables::event_types! { $($table)* }
        $crate::tables::on_functions! { $emitter { $($table)* } }
    };
    ($emitter:ident emits $trait:ident { $($table:tt)* }) => {
        $crate::tables::emitter! { $emitter { $($table)* } }
        $crate::tables::emitted! { $trait { $($table)* } }
    };
    (
        $emitter:ident emits $trait:ident kept as $listener:ident in $kept:ident
        { $($table:tt)* }
    ) => {
        $crate::tables::emitter! { $emitter emits $trait { $($table)* } }
        $crate::tables::kept_listeners! { $listener in $kept { $($table)* } }
    };
}
pub(crate) use emitter;

/// A unit type for each event of a table.
macro_rules! event_types {
    ($(
        $(#[$doc:meta])+
        $event:ident $args:tt $(=> $on:ident)? $(, else throws $error:ident)?;
    )*) => {$(
        $(#[$doc])+
        #[derive(Clone, Copy, Debug)]
        pub struct $event;

        $crate::tables::event_type! { $event $args $(throws $error)? }
    )*};
}
pub(crate) use event_types;

// Two arms: `macro_rules` cannot expand the list of arguments within the optional `throws`.
macro_rules! event_type {
    ($event:ident ($($arg:ident: $arg_type:ty),*)) => {
        #[allow(unused_parens)] // one argument is no tuple
        impl $crate::events::EmitterEvent for $event {
            type Args<'a> = ($($arg_type),*);
        }
    };
    ($event:ident ($($arg:ident: $arg_type:ty),*) throws $error:ident) => {
        #[allow(unused_parens)]
        impl $crate::events::EmitterEvent for $event {
            type Args<'a> = ($($arg_type),*);

            #[allow(unused_variables)] // the emitter
            fn without_listener(($($arg),*): Self::Args<'_>) -> Result<(), $crate::Thrown> {
                Err($error.clone().into())
            }
        }
    };
}
pub(crate) use event_type;

/// A function `on_…` for each event of a table that names one.
macro_rules! on_functions {
    ($emitter:ident {$(
        #[doc = $doc:literal]
        $(#[doc = $more:literal])*
        $event:ident $args:tt $(=> $on:ident)? $(, else throws $error:ident)?;
    )*}) => {
        impl $emitter {$(
            $crate::tables::on_function! {
                [$($on)?]
                #[doc = concat!(" Calls `f` on", $doc)]
                $(#[doc = $more])*
                $event $args
            }
        )*}
    };
}
pub(crate) use on_functions;

macro_rules! on_function {
    // An event without an `on_…` function: `on` adds its listeners.
    ([] $($event:tt)*) => {};
    ([$on:ident] $(#[$doc:meta])+ $event:ident ($($arg:ident: $arg_type:ty),*)) => {
        $(#[$doc])+
        #[allow(unused_parens)]
        pub fn $on<O: $crate::IntoResult>(
            &self,
            // `for<'a>` also where no argument borrows: a macro cannot tell.
            f: impl for<'a> Fn($($arg_type),*) -> O + 'static,
        ) -> &Self {
            let of = $crate::thrown::callback_of(&f);
            self.on($event, move |($($arg),*)| of.result(f($($arg),*)));
            self
        }
    };
}
pub(crate) use on_function;

/// Implements the emitter's trait for each event of a table, so its `on` accepts no other event.
macro_rules! emitted {
    ($trait:ident {$(
        $(#[$doc:meta])+
        $event:ident $args:tt $(=> $on:ident)? $(, else throws $error:ident)?;
    )*}) => {
        $(impl $trait for $event {})*
    };
}
pub(crate) use emitted;

/// The enum in which an emitter keeps a listener of any event of a table.
macro_rules! kept_listeners {
    ($listener:ident in $kept:ident {$(
        $(#[$doc:meta])+
        $event:ident $args:tt $(=> $on:ident)? $(, else throws $error:ident)?;
    )*}) => {
        /// How the emitter keeps a listener: without an allocation besides the closure's.
        pub struct $listener($kept);

        // The variant names the event, which an `AnyListener` needs a second allocation for.
        enum $kept {
            $($event(std::rc::Rc<$crate::events::Listener<$event>>)),*
        }

        impl std::fmt::Debug for $listener {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self.0 {
                    $($kept::$event(_) => stringify!($event)),*
                })
            }
        }

        $(
            impl $crate::events::KeptAs<$listener> for $event {
                fn wrap(listener: std::rc::Rc<$crate::events::Listener<Self>>) -> $listener {
                    $listener($kept::$event(listener))
                }

                fn unwrap(
                    kept: &$listener,
                ) -> Option<&std::rc::Rc<$crate::events::Listener<Self>>> {
                    match &kept.0 {
                        $kept::$event(listener) => Some(listener),
                        _ => None,
                    }
                }
            }
        )*
    };
}
pub(crate) use kept_listeners;

/// The functions of an emitter's [`Emitter`](crate::events::Emitter), which it keeps in
/// `inner.events`: `on`, `once`, `off` and their like, for the events that implement a trait.
macro_rules! listening {
    ($emitter:ty, $event:path) => {
        impl $emitter {
            /// Adds a listener of an event, which is called after those that were added before. The
            /// `on_…` functions do the same for most events, and are shorter.
            pub fn on<E: $event, O: $crate::IntoResult>(
                &self,
                event: E,
                f: impl for<'a> Fn(E::Args<'a>) -> O + 'static,
            ) -> $crate::events::ListenerId {
                self.inner.events.on(event, f)
            }

            /// Adds a listener of the next such event only: it is removed before it is called.
            pub fn once<E: $event, O: $crate::IntoResult>(
                &self,
                event: E,
                f: impl for<'a> FnOnce(E::Args<'a>) -> O + 'static,
            ) -> $crate::events::ListenerId {
                self.inner.events.once(event, f)
            }

            /// Removes a listener. Returns false if it was removed already.
            pub fn off(&self, id: $crate::events::ListenerId) -> bool {
                self.inner.events.off(id)
            }

            /// Removes all listeners of an event.
            pub fn remove_all_listeners<E: $event>(&self, event: E) {
                self.inner.events.remove_all(event);
            }

            /// Returns the number of listeners of an event.
            pub fn listener_count<E: $event>(&self, event: E) -> usize {
                self.inner.events.listener_count(event)
            }
        }
    };
}
pub(crate) use listening;

/// The identity of a type whose clones share an `inner`: clones are equal, and nothing else is. So
/// they can stand in a list or a `HashSet`, as in JavaScript's `Set`.
macro_rules! identity {
    ($type:ident) => {
        impl PartialEq for $type {
            /// Whether they are clones of each other.
            fn eq(&self, other: &$type) -> bool {
                std::rc::Rc::ptr_eq(&self.inner, &other.inner)
            }
        }

        impl Eq for $type {}

        impl std::hash::Hash for $type {
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                std::rc::Rc::as_ptr(&self.inner).hash(state);
            }
        }
    };
}
pub(crate) use identity;

/// The weak counterpart of a type whose clones share an `inner`.
macro_rules! weak {
    ($weak:ident of $type:ident with $inner:ident) => {
        #[doc = concat!("A [`", stringify!($type), "`] without keeping it in memory: see ")]
        #[doc = concat!("[`", stringify!($type), "::downgrade`].")]
        #[derive(Clone, Default)]
        pub struct $weak {
            inner: std::rc::Weak<$inner>,
        }

        impl std::fmt::Debug for $weak {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!("(", stringify!($weak), ")"))
            }
        }

        impl $weak {
            #[doc = concat!("A handle to no [`", stringify!($type), "`].")]
            pub fn new() -> Self {
                Self::default()
            }

            /// The object itself; `None` once it is dropped. The loop keeps it while it is open,
            /// and clones keep it after that.
            pub fn upgrade(&self) -> Option<$type> {
                let inner = self.inner.upgrade()?;
                Some($type { inner })
            }
        }

        impl $type {
            /// Makes a handle that does not keep this object in memory, as `Rc::downgrade` does.
            /// For values that outlive it: those in handlers are dropped after 'close' anyway.
            pub fn downgrade(&self) -> $weak {
                let inner = std::rc::Rc::downgrade(&self.inner);
                $weak { inner }
            }
        }
    };
}
pub(crate) use weak;

/// Node's `ref` and `unref`, for a type with a function `set_referenced(&self, bool)`. The text
/// completes "keeps the program alive while …": `"the socket is open"`.
macro_rules! references {
    ($type:ty, $while:literal) => {
        impl $type {
            #[doc = concat!("Allows the program to end while ", $while, ".")]
            pub fn unref(&self) -> &Self {
                self.set_referenced(false);
                self
            }

            #[doc = concat!("Keeps the program alive while ", $while, ", as it does by default.")]
            pub fn make_ref(&self) -> &Self {
                self.set_referenced(true);
                self
            }
        }
    };
}
pub(crate) use references;
