//! Settings: what a site's configuration may say to an engine, declared in the engine's own crate.
//!
//! An engine declares its [`Key`]s as data and reads a [`Section`] once into a type of its own. Neither side knows YAML: the
//! composition root reads files, and knows of each section only what is declared. So a new engine brings its keys, their
//! checks and their pages with it, and nothing else changes.
//!
//! ```
//! use std::time::Duration;
//! use tributary_core::settings::{Key, Kind, Section};
//!
//! const KEYS: &[Key] = &[
//!     Key::new("address", Kind::Text, "127.0.0.1:5672", "Host and port of the broker."),
//!     Key::new("patience", Kind::Seconds, "60", "How long to wait for it."),
//!     Key::optional("password", Kind::Secret, "Shown to the broker."),
//! ];
//!
//! # fn main() -> tributary_core::Result<()> {
//! let section = Section::new("federation.broker", KEYS)?;
//! assert_eq!(section.get::<&str>("address")?, "127.0.0.1:5672");
//! assert_eq!(section.get::<Duration>("patience")?, Duration::from_secs(60));
//! let error = section.get::<&tributary_core::settings::Secret>("password").unwrap_err();
//! assert_eq!(error.to_string(), "federation.broker.password (not set): required here; set it in service_conf.yaml");
//! # Ok(())
//! # }
//! ```

mod key;
mod secret;
mod section;

pub use key::{Key, Kind, Presence, Value};
pub use secret::Secret;
pub use section::{FromValue, Origin, Place, Section, Setting};
