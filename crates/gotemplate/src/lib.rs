//! Go's text/template, the sprig functions, and those that Helm adds, for values with Go's kinds.
//!
//! A [`Templates`] set holds named templates and the functions they may call; [`Templates::helm`] makes
//! one as Helm does. [`Templates::execute`] runs a template with a [`Value`] in an [`Env`], which carries
//! the [`Host`] (clock, randomness, lookups), the [`Limits`] and the caches of a render. Output and error
//! texts are those of Go, sprig 3.3 and Helm 3.
//!
//! ```
//! use gotemplate::{Env, FixedHost, Templates, Value};
//! let mut set = Templates::helm(false);
//! set.parse("greet", r#"{{ define "who" }}{{ . | upper }}{{ end }}Hi {{ include "who" .name }}!"#)?;
//! let host = FixedHost::new(0, 0);
//! let data = Value::map([("name", Value::from("ann"))]);
//! assert_eq!(set.execute("greet", &data, &mut Env::new(&host))?, "Hi ANN!");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod builtin;
mod codec;
mod durations;
mod env;
mod error;
mod exec;
mod fmt;
mod func;
mod helm;
mod parse;
mod price;
mod regexp;
pub mod semver;
mod sprig;
mod templates;
mod time;
mod trace;
mod value;

pub use env::{Env, FixedHost, Host, Limits};
pub use error::{ExecError, ParseError};
pub use func::{Context, FuncError, Function, Native, Param};
pub use regexp::Regexp;
pub use templates::{MissingKey, Options, Templates};
pub use time::{Time, Zone};
pub use trace::Origin;
pub use value::{Elem, IntType, Kind, List, Map, MapMethods, Object, Str, UintType, Value, method};
