//! What an execution is given from outside, and what it may use up.

use bytes::Bytes;
use std::collections::HashMap;
use std::rc::Rc;

use crate::func::FuncError;
use crate::parse::Parsed;
use crate::regexp::Regexp;
use crate::trace::{Origin, Trace};
use crate::value::Value;

/// Everything outside of the data that a template can ask for. All of it is handed in, so that an
/// execution can be repeated.
pub trait Host {
    /// Fills `bytes` with random data (`randAlphaNum`, `genCA`, `uuidv4`, `shuffle` …).
    fn random(&self, bytes: &mut [u8]);

    /// The present time: seconds and nanoseconds since 1970-01-01 UTC (`now`, `ago`, certificates).
    fn now(&self) -> (i64, u32);

    /// The IANA name of the local time zone; dates are shown in it.
    fn time_zone(&self) -> String {
        "UTC".to_owned()
    }

    /// Helm's `lookup`. The default is what Helm answers without a cluster: an empty map.
    fn lookup(&self, api_version: &str, kind: &str, namespace: &str, name: &str) -> Result<Value, FuncError> {
        let _ = (api_version, kind, namespace, name);
        Ok(Value::map::<&str>([]))
    }

    /// `getHostByName`. The default is what Helm answers without `--enable-dns`: nothing.
    fn host_by_name(&self, name: &str) -> String {
        let _ = name;
        String::new()
    }

    /// Whether `required` and `fail` let something pass, as `helm lint` does: `why` is what they have to say then.
    fn lets_pass(&self, why: &str) -> bool {
        let _ = why;
        false
    }
}

/// A host for tests and offline use: time stands at the given second, random bytes come from a
/// generator with a fixed seed.
pub struct FixedHost {
    now: i64,
    state: std::cell::Cell<u64>,
}

impl FixedHost {
    /// A host at `now` seconds after the epoch.
    pub fn new(now: i64, seed: u64) -> Self {
        FixedHost { now, state: std::cell::Cell::new(seed) }
    }
}

impl Host for FixedHost {
    fn random(&self, bytes: &mut [u8]) {
        // SplitMix64: small, and good enough for what is repeatable by intent.
        for chunk in bytes.chunks_mut(8) {
            let mut z = self.state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
            self.state.set(z);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let block = (z ^ (z >> 31)).to_le_bytes();
            for (target, byte) in chunk.iter_mut().zip(block) {
                *target = byte;
            }
        }
    }

    fn now(&self) -> (i64, u32) {
        (self.now, 0)
    }
}

/// No function makes a text much longer than this, whatever it is asked for. [`Limits::output`] is never
/// more, so that what was cut short is an error and not a result.
pub(crate) const MAX_TEXT: usize = 256 << 20;

/// How much an environment may use up before executions fail.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Nodes executed; functions take more of them the more they have to do.
    pub steps: u64,
    /// Templates within templates.
    pub depth: usize,
    /// How often one name may be open in `include` (Helm: 1000), and how often `tpl` may be within `tpl`.
    pub includes: usize,
    /// Bytes of output, and of any one string that a function makes.
    pub output: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { steps: 20_000_000, depth: 10_000, includes: 1000, output: 64 << 20 }
    }
}

/// The environment of executions: host, limits with what is used of them, and caches. Use one for all
/// templates of a render.
pub struct Env<'h> {
    host: &'h dyn Host,
    pub(crate) limits: Limits,
    pub(crate) steps: u64,
    pub(crate) depth: usize,
    pub(crate) tpls: usize,
    pub(crate) written: usize,
    pub(crate) included: HashMap<Rc<str>, usize>,
    pub(crate) tpl_cache: HashMap<Bytes, Rc<Parsed>>,
    pub(crate) regexps: HashMap<Rc<str>, Rc<Regexp>>,
    pub(crate) trace: Option<Box<Trace>>,
}

impl<'h> Env<'h> {
    /// An environment with the default limits.
    pub fn new(host: &'h dyn Host) -> Self {
        Env::with_limits(host, Limits::default())
    }

    /// An environment with limits of its own.
    pub fn with_limits(host: &'h dyn Host, limits: Limits) -> Self {
        let limits = Limits { output: limits.output.min(MAX_TEXT), ..limits };
        Env {
            host,
            limits,
            steps: 0,
            depth: 0,
            tpls: 0,
            written: 0,
            included: HashMap::new(),
            tpl_cache: HashMap::new(),
            regexps: HashMap::new(),
            trace: None,
        }
    }

    /// From now on notes where output comes from. `tables` gives the maps whose reading is noted, by
    /// [`Map::id`](crate::Map::id), with the path that each goes by.
    pub fn trace(&mut self, tables: HashMap<usize, String>) {
        self.trace = Some(Box::new(Trace::new(tables)));
    }

    /// The origins of the last output of [`Templates::execute`](crate::Templates::execute), in its order.
    pub fn take_origins(&mut self) -> Vec<Origin> {
        self.trace.as_mut().map(|trace| std::mem::take(&mut trace.origins)).unwrap_or_default()
    }

    /// The host.
    pub fn host(&self) -> &'h dyn Host {
        self.host
    }
}
