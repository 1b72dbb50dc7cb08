//! Arguments that are made known to the parser when they are asked for.
//!
//! A command line of many verbs has hundreds of arguments, and one run uses those of one verb. The others would
//! take longer to describe than the work of many a run.

use clap::builder::{Resettable, StyledStr};
use clap::error::Error;
use clap::{ArgAction, ArgMatches, Args, Command, FromArgMatches, Subcommand};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether everything is described at once; see [`all_at_once`].
static AT_ONCE: AtomicBool = AtomicBool::new(false);

/// From now on nothing is put off: a completion script wants to know all verbs before it looks into them.
pub fn all_at_once() {
    AT_ONCE.store(true, Ordering::Relaxed);
}

/// The arguments `T` of a verb, or its own verbs. With `DASHES`, what follows a flag that needs a value is that
/// value, also when it begins with a dash: so it is with Helm.
pub struct Later<T, const DASHES: bool = false>(Box<T>);

impl<T, const DASHES: bool> Later<T, DASHES> {
    /// What was given.
    pub fn into_inner(self) -> T {
        *self.0
    }
}

impl<T, const DASHES: bool> Deref for Later<T, DASHES> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: FromArgMatches, const DASHES: bool> FromArgMatches for Later<T, DASHES> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        T::from_arg_matches(matches).map(|args| Later(Box::new(args)))
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, Error> {
        T::from_arg_matches_mut(matches).map(|args| Later(Box::new(args)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches(matches)
    }
}

impl<T: Args, const DASHES: bool> Args for Later<T, DASHES> {
    fn augment_args(command: Command) -> Command {
        put_off(command, |command| described::<DASHES>(command, T::augment_args))
    }

    fn augment_args_for_update(command: Command) -> Command {
        put_off(command, |command| described::<DASHES>(command, T::augment_args_for_update))
    }
}

impl<T: Subcommand, const DASHES: bool> Subcommand for Later<T, DASHES> {
    fn augment_subcommands(command: Command) -> Command {
        put_off(command, |command| described::<DASHES>(command, T::augment_subcommands))
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        put_off(command, |command| described::<DASHES>(command, T::augment_subcommands_for_update))
    }

    fn has_subcommand(name: &str) -> bool {
        T::has_subcommand(name)
    }
}

fn put_off(command: Command, add: fn(Command) -> Command) -> Command {
    if AT_ONCE.load(Ordering::Relaxed) { add(command) } else { command.defer(add) }
}

/// Adds the arguments. What a verb says about itself stands where the verbs are listed, not at its arguments.
fn described<const DASHES: bool>(command: Command, add: fn(Command) -> Command) -> Command {
    let about: Option<StyledStr> = command.get_about().cloned();
    let long: Option<StyledStr> = command.get_long_about().cloned();
    let command = add(command).about(Resettable::from(about)).long_about(Resettable::from(long));
    if DASHES { taking_dashes(command) } else { command }
}

fn taking_dashes(command: Command) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|inner| inner.get_name().to_owned()).collect();
    let command = command.mut_args(|arg| {
        let needs = arg.get_num_args().is_none_or(|count| count.min_values() > 0);
        match arg.get_action() {
            ArgAction::Set | ArgAction::Append if !arg.is_positional() && needs => {
                arg.allow_hyphen_values(true)
            }
            _ => arg,
        }
    });
    names.into_iter().fold(command, |command, name| command.mut_subcommand(name, taking_dashes))
}
